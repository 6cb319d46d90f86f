-- KEYS: the session, the user's current one. ARGV: hash, idle, absolute, whether this counts as its use.
local session = read(KEYS[1])
if not session then
    return { OP, 'unknown' }
end
if session.over then
    return { OP, 'over', session.over }
end
-- Only a Redis that evicts or lost data forgets which one is current. What can't be ended by its user must not live.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then
    redis.call('DEL', KEYS[1])
    return { OP, 'unknown' }
end
local idle, absolute = tonumber(ARGV[4]), tonumber(ARGV[5])
local at, how = ending(session.created, session.used, idle, absolute)
if NOW >= at + HOUR then
    redis.call('DEL', KEYS[1])
    return { OP, 'unknown' }
end
if NOW >= at then
    finish(KEYS[1], how, at)
    return { OP, 'over', how }
end
local used = session.used
if ARGV[6] == '1' then
    used = math.max(used, NOW)
end
local forgotten = ending(session.created, used, idle, absolute) + HOUR
redis.call('HSET', KEYS[1], 'used', text(used), 'forgotten', text(forgotten))
keep(KEYS[1], forgotten, HOUR)
keep(KEYS[2], forgotten, HOUR)
return { OP, 'live', session.record }
