-- KEYS: the code. ARGV: value, how long it lasts.
local forgotten = NOW + tonumber(ARGV[4])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'value', ARGV[3], 'forgotten', text(forgotten))
keep(KEYS[1], forgotten, 60000)
return { OP, 'done' }
