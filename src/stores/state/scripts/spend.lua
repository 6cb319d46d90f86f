-- KEYS: for whom. ARGV: microseconds between two, microseconds of all that may come at once, then how many came for each
-- key. They were let through already: what is more than may come is a debt, of sixteen bursts at most.
local now, interval, burst = NOW * 1000, tonumber(ARGV[3]), tonumber(ARGV[4])
local dues = { OP }
for index, key in ipairs(KEYS) do
    local due = math.max(tonumber(redis.call('GET', key) or now), now)
    -- With one clock nothing is due so late: another server's was ahead, and what was spent is unknown.
    due = due > now + 16 * burst and now + burst or due
    dues[index + 1] = math.min(due + interval * tonumber(ARGV[4 + index]), now + 16 * burst)
end
for index, key in ipairs(KEYS) do
    local due = dues[index + 1]
    redis.call('SET', key, text(due), 'PX', text(math.ceil((due - now) / 1000) + 60000))
    -- For the gateway, by its own clock.
    dues[index + 1] = due + AHEAD * 1000
end
return dues
