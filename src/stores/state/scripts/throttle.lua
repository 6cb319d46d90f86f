-- KEYS: the throttle. ARGV: microseconds between two attempts, microseconds of all attempts that may come at once.
local held = redis.call('GET', KEYS[1])
local now, interval, burst = NOW * 1000, tonumber(ARGV[3]), tonumber(ARGV[4])
local due, latest = now, now + burst
local function hold(due)
    redis.call('SET', KEYS[1], text(due), 'PX', text(math.ceil((due - now) / 1000) + 60000))
end
if held then
    due = math.min(math.max(tonumber(held), now), latest)
end
local wait = due + interval - latest
if wait > 0 then
    -- With one clock nothing is due later than that: one that was ahead denies nobody for longer than a period.
    if tonumber(held) > latest then
        hold(latest)
    end
    return { OP, 'denied', wait }
end
hold(due + interval)
return { OP, 'allowed' }
