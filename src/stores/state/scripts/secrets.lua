-- What the scripts on ticket secrets share. They are one hash: of each, by its ID, when it is forgotten, a space, and the
-- sealed secret.

-- Those that last, by their IDs, and the others. What has another form is nobody's: it is shown as sealed with
-- nothing, for the gateways to say so.
local function lasting(key)
    local all, held, gone = redis.call('HGETALL', key), {}, {}
    for at = 1, #all, 2 do
        local id = string.match(all[at], '^%x+$')
        local forgotten, sealed = string.match(all[at + 1], '^(%d+) ([%w%p ]*)$')
        if id and not forgotten then
            table.insert(held, { id = id, sealed = '' })
        elseif id and NOW < tonumber(forgotten) then
            table.insert(held, { id = id, sealed = sealed, forgotten = tonumber(forgotten) })
        end
        if not id or not forgotten or NOW >= tonumber(forgotten) then
            table.insert(gone, { id = all[at], forgotten = id and tonumber(forgotten) or 0 })
        end
    end
    table.sort(held, function(one, other) return one.id < other.id end)
    return held, gone
end

local function answer(held)
    local parts = { OP, 'secrets' }
    for _, secret in ipairs(held) do
        table.insert(parts, secret.id)
        table.insert(parts, secret.sealed)
    end
    return parts
end
