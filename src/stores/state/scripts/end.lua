-- KEYS: the session. ARGV: how it ends.
local session = read(KEYS[1])
if session and not session.over then
    finish(KEYS[1], ARGV[3], NOW)
end
return { OP, 'done' }
