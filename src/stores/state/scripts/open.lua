-- KEYS: the session, the user's current one, and the session that is renewed, if any.
-- ARGV: hash, record, created, idle, absolute, whether to replace, what the keys of the user's sessions begin with, and the
-- hash of the renewed session or nothing.
local current = redis.call('GET', KEYS[2])
local hash, created, idle, absolute = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local function lives(key)
    local held = read(key)
    return held and not held.over and NOW < ending(held.created, held.used, idle, absolute)
end
-- Nobody brings a session back to life by renewing it. The same question again, because its answer was lost, finds the new
-- one there.
if KEYS[3] and not lives(KEYS[3]) and not lives(KEYS[1]) then
    return { OP, 'gone' }
end
if current and current ~= hash and current ~= ARGV[10] then
    local key = ARGV[9] .. current
    local other = read(key)
    if other and not other.over then
        local at, how = ending(other.created, other.used, idle, absolute)
        if NOW >= at then
            finish(key, how, at)
        elseif ARGV[8] ~= '1' then
            return { OP, 'occupied' }
        else
            finish(key, 'replaced', NOW)
        end
    end
end
if KEYS[3] then
    redis.call('DEL', KEYS[3])
end
local forgotten = ending(created, NOW, idle, absolute) + HOUR
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'record', ARGV[4], 'created', ARGV[5], 'used', text(NOW), 'forgotten', text(forgotten))
keep(KEYS[1], forgotten, HOUR)
redis.call('SET', KEYS[2], hash)
keep(KEYS[2], forgotten, HOUR)
return { OP, 'opened' }
