-- KEYS: the ticket secrets.
return answer((lasting(KEYS[1])))
