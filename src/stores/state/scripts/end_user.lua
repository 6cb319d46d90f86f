-- KEYS: the user's current session. ARGV: how it ends, what the keys of the user's sessions begin with.
local current = redis.call('GET', KEYS[1])
if current then
    local key = ARGV[4] .. current
    local session = read(key)
    if session and not session.over then
        finish(key, ARGV[3], NOW)
    end
end
return { OP, 'done' }
