-- What every script begins with. ARGV[1] names the question and is repeated in the answer; ARGV[2] is the gateway's time in
-- milliseconds. Scripts read everything before they write anything: one that fails has changed nothing.
local OP, NOW = ARGV[1], tonumber(ARGV[2])
local HOUR = 3600000

-- By itself Lua writes large numbers with an exponent.
local function text(number)
    return string.format('%.0f', number)
end

-- A key outlives what it holds, so that Redis cleans up: the times inside decide, by the gateways' clocks.
local function keep(key, last, slack)
    redis.call('PEXPIRE', key, text(math.max(last - NOW, 0) + slack))
end
