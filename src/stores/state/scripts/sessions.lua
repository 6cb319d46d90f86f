-- What the scripts on sessions share. A session is a hash: record, created, used, forgotten, and `over` once it has ended.

-- The session in a key, unless it is forgotten.
local function read(key)
    local held = redis.call('HMGET', key, 'record', 'created', 'used', 'over', 'forgotten')
    if not held[5] or NOW >= tonumber(held[5]) then
        return nil
    end
    return { record = held[1], created = tonumber(held[2]), used = tonumber(held[3]), over = held[4] }
end

-- When and how a session ends that isn't used again.
local function ending(created, used, idle, absolute)
    if used + idle <= created + absolute then
        return used + idle, 'idle'
    end
    return created + absolute, 'too_old'
end

-- Ends the session in a key: how it ended stays known for an hour, and nothing else.
local function finish(key, how, at)
    redis.call('HDEL', key, 'record')
    redis.call('HSET', key, 'over', how, 'forgotten', text(at + HOUR))
    keep(key, at + HOUR, HOUR)
end
