-- KEYS: the attempts.
local held = redis.call('HMGET', KEYS[1], 'count', 'op')
if held[1] and held[2] ~= OP then
    if tonumber(held[1]) > 1 then
        redis.call('HSET', KEYS[1], 'count', text(tonumber(held[1]) - 1), 'op', OP)
    else
        redis.call('DEL', KEYS[1])
    end
end
return { OP, 'done' }
