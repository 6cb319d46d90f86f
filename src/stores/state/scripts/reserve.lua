-- KEYS: the attempts. ARGV: limit, quiet time.
local held = redis.call('HMGET', KEYS[1], 'count', 'last', 'op')
local limit, quiet = tonumber(ARGV[3]), tonumber(ARGV[4])
local count, last = 0, NOW
if held[1] then
    -- The same question again, because its answer was lost: it is counted already. Written once more, because a WAIT for
    -- replicas concerns what was written on the same connection.
    if held[3] == OP then
        redis.call('HSET', KEYS[1], 'op', OP)
        return { OP, 'reserved', tonumber(held[1]) }
    end
    if NOW - tonumber(held[2]) <= quiet then
        count, last = tonumber(held[1]), math.max(tonumber(held[2]), NOW)
    end
end
if count >= limit then
    return { OP, 'exhausted' }
end
redis.call('HSET', KEYS[1], 'count', text(count + 1), 'last', text(last), 'op', OP)
keep(KEYS[1], last + quiet, HOUR)
return { OP, 'reserved', count + 1 }
