-- What came before: fingerprints, each with the stamp at which it was first seen.
--
-- uses ZADD :internal:seen XX 0 *
-- uses ZMSCORE :internal:seen *
-- uses ZCARD :internal:seen
-- uses ZCOUNT :internal:seen 1 0
-- uses ZREMRANGEBYRANK :internal:seen 1 0

local call, whole = redis.call, times.whole
local SEEN = keys.internal .. 'seen'
local CHUNK = 2000 -- Lua's stack holds some 8,000 values
local ROW = string.byte('r') -- begins what a row of REST left (fingerprints.py)

-- Stamps are µs, and one order within and across batches: also where TIME steps back.
local stamp, stamp_text = 0, '0'

local function tick()
  stamp = math.max(times.now_us, stamp + 1)
  stamp_text = whole(stamp)
  return stamp
end

local function go_on_from(last)
  stamp = last
  tick()
end

local function last_stamp()
  return stamp_text
end

local known = {} -- print -> its stamp
local remembered = {} -- stamp, print, …: what is to be written

local function prints_of(change)
  local kind = change[at.kind]
  return (kind == 'message' or kind == 'rejected') and change[at.known_by] or {}
end

local function look_up(changes, first)
  local prints = first == #changes and prints_of(changes[first]) or {}
  for i = first, first < #changes and #changes or 0 do
    local more = prints_of(changes[i])
    for j = 1, #more do prints[#prints + 1] = more[j] end
  end
  for from = 1, #prints, CHUNK do
    local to = math.min(from + CHUNK - 1, #prints)
    local scores = refusal.read('ZMSCORE', SEEN, unpack(prints, from, to))
    for i = from, to do
      local score = scores[i - from + 1]
      if score then known[prints[i]] = tonumber(score) end
    end
  end
end

-- When a message was first seen, and whether a row of REST left a print of it.
local function first_seen(change)
  local prints, first, by_row = change[at.known_by], nil, false
  for i = 1, #prints do
    local score = known[prints[i]]
    if score and string.byte(prints[i]) == ROW then
      by_row = true
    elseif score and not (first and first < score) then
      first = score
    end
  end
  return first, by_row
end

local function remember(prints)
  for i = 1, #prints do
    local print = prints[i]
    if not known[print] then
      known[print] = stamp
      remembered[#remembered + 1] = stamp_text
      remembered[#remembered + 1] = print
    end
  end
end

local function count()
  return #remembered
end

-- Forgets what was remembered beyond so many.
local function forget(beyond)
  for i = #remembered, beyond + 1, -1 do
    known[remembered[i]] = nil
    remembered[i] = nil
  end
end

-- Whether it is remembered; not looked up together with all others.
local function holds(print)
  return known[print] or call('ZMSCORE', SEEN, print)[1]
end

-- What was seen is kept for set.remembered_us, and never fewer than the newest ones.
local function trim()
  local spare = call('ZCARD', SEEN) - set.remembered_least
  if spare <= 0 then return end
  local old = call('ZCOUNT', SEEN, '-inf', whole(times.now_us - set.remembered_us))
  local drop = math.min(spare, old)
  if drop > 0 then call('ZREMRANGEBYRANK', SEEN, '0', whole(drop - 1)) end
end

-- Adds scores and members by turns, however many.
local function add(key, option, scores)
  for first = 1, #scores, CHUNK do
    call('ZADD', key, option, unpack(scores, first, math.min(first + CHUNK - 1, #scores)))
  end
end

local function write()
  add(SEEN, 'NX', remembered) -- the first stamp stays
end

return {
  tick = tick, go_on_from = go_on_from, last_stamp = last_stamp,
  look_up = look_up, first_seen = first_seen, remember = remember, count = count,
  forget = forget, holds = holds, add = add, write = write,
  trim = trim,
}
