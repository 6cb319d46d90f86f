-- KEYS: the throttle. ARGV: microseconds between two attempts, microseconds of all attempts that may come at once.
local held = redis.call('GET', KEYS[1])
local now, interval, burst = NOW * 1000, tonumber(ARGV[3]), tonumber(ARGV[4])
local due = now
if held then
    -- A gateway whose clock is ahead denies nobody for longer than one period.
    due = math.min(math.max(tonumber(held), now), now + burst)
end
local wait = due + interval - burst - now
if wait > 0 then
    return { OP, 'denied', wait }
end
redis.call('SET', KEYS[1], text(due + interval), 'PX', text(math.ceil((due + interval - now) / 1000) + 60000))
return { OP, 'allowed' }
