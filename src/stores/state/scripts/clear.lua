-- KEYS: the attempts.
redis.call('DEL', KEYS[1])
return { OP, 'done' }
