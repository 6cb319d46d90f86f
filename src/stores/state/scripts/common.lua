-- What every script begins with. ARGV[1] names the question and is repeated in the answer; ARGV[2] is the gateway's time in
-- milliseconds, and what its machine has for the time. Scripts read everything before they write anything: one that fails has
-- changed nothing.
local OP, HOUR = ARGV[1], 3600000
local given, machine = string.match(ARGV[2], '^(-?%d+) (-?%d+)$')
-- What one gateway writes the others read, and their clocks may differ. Redis' own is the same for all: where a machine's
-- differs from it by a second or more, the time is put right by as much. Without the right to ask for it, gateways' clocks have to
-- agree.
local NOW, AHEAD = tonumber(given), 0
local time = redis.pcall('TIME')
if not time.err then
    local ahead = tonumber(machine) - tonumber(time[1]) * 1000 - math.floor(tonumber(time[2]) / 1000)
    if math.abs(ahead) >= 1000 then
        NOW, AHEAD = NOW - ahead, ahead
    end
end

-- By itself Lua writes large numbers with an exponent.
local function text(number)
    return string.format('%.0f', number)
end

-- A key outlives what it holds, so that Redis cleans up: the times inside decide, by the gateways' clocks.
local function keep(key, last, slack)
    redis.call('PEXPIRE', key, text(math.max(last - NOW, 0) + slack))
end
