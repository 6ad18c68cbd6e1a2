-- The server: the stream's keys, which share the stem of KEYS[1] and so its slot; how they
-- are read before the first write; and its clock.

local stem = string.sub(KEYS[1], 1, -7) -- without 'events'

-- Redis turns a number into text at every call, which is slow, and Lua's own way
-- (`%.14g`) would cut milliseconds short. `%d` is by far the fastest, where it has 64 bits.
local digits = string.format('%d', 2 ^ 53) == '9007199254740992' and '%d' or '%.0f'
local function whole(number)
  return string.format(digits, number)
end

-- Raised before the first write it is one change that cannot be applied.
local function refuse(why)
  error({ err = why })
end

-- What is wrong with a key is told with its name.
local function read(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) == 'table' and found.err then refuse(found.err .. ' (' .. key .. ')') end
  return found
end

local CHUNK = 2000 -- Lua's stack holds some 8,000 values

-- ZADD with an option, of any number of scores and members by turns.
local function add(key, option, members)
  for from = 1, #members, CHUNK do
    local to = math.min(from + CHUNK - 1, #members)
    redis.call('ZADD', key, option, unpack(members, from, to))
  end
end

local function check_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    refuse('WRONGTYPE ' .. key .. ' holds a ' .. found .. ' where a ' .. wanted .. ' belongs')
  end
end

-- Without it nothing is done, but to say what is missing (permissions.lua).
local clock = redis.pcall('TIME')
local now_us = clock.err and 0 or clock[1] * 1000000 + clock[2]

return {
  EVENTS = KEYS[1], SYMBOLS = stem .. 'symbols', stem = stem,
  internal = stem .. 'internal:', has_clock = not clock.err, now_us = now_us,
  now = whole(math.floor(now_us / 1000)), whole = whole, refuse = refuse,
  read = read, add = add, check_type = check_type, CHUNK = CHUNK,
}
