-- KEYS: the ticket secrets. ARGV: ID, sealed secret, how long it lasts, how many there may be, how long those last at most
-- that it replaces, and how many these are; then the IDs that the gateway knows, with those first. It is taken if there is
-- none that the gateway doesn't know.
local held, gone = lasting(KEYS[1])
local known = {}
for at = 9, #ARGV do
    known[ARGV[at]] = known[ARGV[at]] or at < 9 + tonumber(ARGV[8]) and 'replaced' or 'other'
end
local forgotten, most = NOW + tonumber(ARGV[5]), NOW + tonumber(ARGV[7])
local count, last = 0, forgotten
for _, secret in ipairs(held) do
    -- The same question again, because its answer was lost, finds it there.
    if secret.id == ARGV[3] or not known[secret.id] then
        return answer(held)
    end
    if secret.forgotten then
        last = math.max(last, secret.forgotten)
        -- Those of a gateway whose clock is far ahead would keep the others from making any, for as long as that is.
        count = count + (secret.forgotten <= forgotten + HOUR and 1 or 0)
    end
end
if count >= tonumber(ARGV[6]) then
    return answer(held)
end
-- What is over by this gateway's clock alone may last by the others'.
local server = tonumber(redis.call('TIME')[1]) * 1000
for _, secret in ipairs(gone) do
    if secret.forgotten <= server then
        redis.call('HDEL', KEYS[1], secret.id)
    end
end
for _, secret in ipairs(held) do
    if secret.forgotten and secret.forgotten > most and known[secret.id] == 'replaced' then
        redis.call('HSET', KEYS[1], secret.id, text(most) .. ' ' .. secret.sealed)
    end
end
redis.call('HSET', KEYS[1], ARGV[3], text(forgotten) .. ' ' .. ARGV[4])
keep(KEYS[1], last, HOUR)
return answer((lasting(KEYS[1])))
