-- Removes all that is said of one symbol, as one atomic step; the log stays.
--
-- KEYS[1]  PREFIX:STREAM:events; all other keys share its stem, and so its slot
-- ARGV[1]  the symbol
--
-- Until which entry the log's say on it is forgotten is remembered, for else `rebuild`
-- would bring it back. A record that was deleted before leaves its mark, as always.

local call = redis.call
local stem = string.sub(KEYS[1], 1, -7) -- without 'events'
local symbol = ARGV[1]
local latest = stem .. 'latest:' .. symbol
local timeline = stem .. 'timeline:' .. symbol

local function asked(command, ...)
  local found = redis.pcall(command, ...)
  return not (type(found) == 'table' and found.err) and found or nil -- of a wrong type
end

local event = (asked('HMGET', latest, '_event') or {})[1]
local last = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local keys = { latest, timeline, stem .. 'history:' .. symbol,
  stem .. 'internal:heard:symbol:' .. symbol }
for _, record in ipairs(asked('ZRANGE', timeline, '0', '-1') or {}) do
  local key = stem .. 'record:' .. record
  if (asked('HMGET', key, '_symbol') or {})[1] == symbol then keys[#keys + 1] = key end
end
-- What tells that it is forgotten comes first: all else may be done again.
if last then call('HSET', stem .. 'internal:forgotten', symbol, last[1]) end
local count = 0
for from = 1, #keys, 1000 do -- Lua's stack holds some 8,000 values
  count = count + call('DEL', unpack(keys, from, math.min(from + 999, #keys)))
end
call('ZREM', stem .. 'symbols', symbol)
if event then redis.pcall('PUBLISH', stem .. 'changed', symbol .. ' ' .. event) end
return count
