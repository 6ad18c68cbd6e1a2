-- What came before: fingerprints, each with the stamp at which it was first seen.

local call, whole = redis.call, server.whole
local SEEN = server.internal .. 'seen'
local CHUNK = server.CHUNK
local ROW = string.byte('r') -- begins what a row of REST left (fingerprints.py)

-- Stamps are µs, and one order within and across batches: also where TIME steps back.
local stamp = { last = 0, text = '0' }

-- Returns the next stamp, after all others and after this one.
local function tick(last)
  stamp.last = math.max(server.now_us, (last or stamp.last) + 1)
  stamp.text = whole(stamp.last)
  return stamp.last
end

local known = {} -- print -> its stamp
local remembered = {} -- stamp, print, …: what is to be written

local function look_up(changes, first)
  local prints, count = {}, 0
  for i = first, #changes do
    local kind = changes[i][at.kind]
    local known_by = (kind == 'message' or kind == 'rejected') and changes[i][at.known_by] or {}
    for j = 1, #known_by do prints[count + j] = known_by[j] end
    count = count + #known_by
  end
  for from = 1, count, CHUNK do
    local to = math.min(from + CHUNK - 1, count)
    local scores = server.read('ZMSCORE', SEEN, unpack(prints, from, to))
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
  local last = #remembered
  for i = 1, #prints do
    local print = prints[i]
    if not known[print] then
      known[print] = stamp.last
      remembered[last + 1], remembered[last + 2] = stamp.text, print
      last = last + 2
    end
  end
end

-- The first stamp of a print stays. At times what is older than set.remembered_us goes,
-- but never the newest ones.
local function write(trims)
  server.add(SEEN, 'NX', remembered)
  local spare = trims and call('ZCARD', SEEN) - set.remembered_least or 0
  if spare <= 0 then return end
  local old = call('ZCOUNT', SEEN, '-inf', whole(server.now_us - set.remembered_us))
  local drop = math.min(spare, old)
  if drop > 0 then call('ZREMRANGEBYRANK', SEEN, '0', whole(drop - 1)) end
end

return {
  SEEN = SEEN, stamp = stamp, known = known, remembered = remembered, tick = tick,
  look_up = look_up, first_seen = first_seen, remember = remember, write = write,
}
