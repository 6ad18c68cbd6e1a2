-- ---------------------------------------------------------------- what came before

types[SEEN] = 'zset'
uses({
  { 'ZADD', SEEN, 'XX', '0', '*' }, { 'ZREMRANGEBYRANK', SEEN, '1', '0' },
  { 'ZMSCORE', SEEN, '*' }, { 'ZCARD', SEEN }, { 'ZCOUNT', SEEN, '1', '0' },
})

-- Fingerprints: 'old' ones are in `seen`, 'new' ones will be.
local known, remembered = {}, {}
local CHUNK = 2000 -- Lua's stack holds some 8,000 values

local function look_up(changes)
  local prints = {}
  for i = 1, #changes do
    local known_by = changes[i][KNOWN_BY]
    for j = 1, #known_by do prints[#prints + 1] = known_by[j] end
  end
  for first = 1, #prints, CHUNK do
    local last = math.min(first + CHUNK - 1, #prints)
    local scores = call('ZMSCORE', SEEN, unpack(prints, first, last))
    for i = first, last do
      if scores[i - first + 1] then known[prints[i]] = 'old' end
    end
  end
end

-- Which of its fingerprints is known, the first one of them; nil: none.
local function known_by(change)
  local prints = change[KNOWN_BY]
  for i = 1, #prints do
    if known[prints[i]] then return i end
  end
end

local function remember(prints)
  for i = 1, #prints do
    local print = prints[i]
    if known[print] ~= 'new' then
      known[print] = 'new'
      remembered[#remembered + 1] = now
      remembered[#remembered + 1] = print
    end
  end
end

local function add_scores(key, scores)
  for first = 1, #scores, CHUNK do
    call('ZADD', key, unpack(scores, first, math.min(first + CHUNK - 1, #scores)))
  end
end

-- What was seen is kept for set.remembered_ms, and never fewer than the newest ones.
local function trim_seen()
  local spare = call('ZCARD', SEEN) - set.remembered_least
  if spare <= 0 then return end
  local old = call('ZCOUNT', SEEN, '-inf', whole(now_ms - set.remembered_ms))
  local drop = math.min(spare, old)
  if drop > 0 then call('ZREMRANGEBYRANK', SEEN, '0', whole(drop - 1)) end
end
