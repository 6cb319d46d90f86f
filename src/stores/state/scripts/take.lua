-- KEYS: the code.
local held = redis.call('HMGET', KEYS[1], 'value', 'forgotten')
local good = held[1] and NOW < tonumber(held[2])
redis.call('DEL', KEYS[1])
if good then
    return { OP, 'value', held[1] }
end
return { OP, 'none' }
