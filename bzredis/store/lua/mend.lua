-- Writes what keys of a stream should be by its log, each symbol as one atomic step,
-- unless the log tells something newer of it than the sender has read (logged.py).
--
-- KEYS[1]  PREFIX:STREAM:events; all other keys share its stem, and so its slot
-- ARGV[1]  the last entry that the sender has read
-- ARGV[2]  MessagePack: for each symbol an array of
--          1  the symbol, '' for none
--          2  its records, by any of which an entry concerns it
--          3  hashes: name, fields (none: it goes), when it expires (ms; '' for never)
--          4  its timeline: score, record, …; or false where that is as it should be
--          5  what is copied to `latest`: a record's id, '' where it goes, false: stays
--          6  its score in `symbols`: ms, '' where it goes, 'now', or false: stays
--          7  the entry that `changed` tells of, or false where nobody has to be told
--
-- Besides what a batch may do it needs XRANGE alone, and that comes first: a user who may
-- not do it has nothing half done.
--
-- No entry is written: a log says what happened, and this is nothing that happened.
-- Returns for each symbol 1 where it was written, and 0 where it is to be read anew.

local MOST = 500 -- entries that are looked through; who has read less reads on first
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stem = string.sub(KEYS[1], 1, -7) -- without 'events'

-- Symbols and records that newer entries are about; nil where there are too many.
local function newer()
  local entries = call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', MOST)
  if #entries == MOST then return nil end
  local symbols, records = {}, {}
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    for i = 1, #fields, 2 do
      if fields[i] == 'symbol' then symbols[fields[i + 1]] = true end
      if fields[i] == 'record' then records[fields[i + 1]] = true end
    end
  end
  return symbols, records
end

local function replace(name, fields, expires)
  local key = stem .. name
  call('DEL', key)
  if not fields[1] then return end
  call('HSET', key, unpack(fields))
  if expires == '' then return end
  local left = math.max(1, math.ceil((tonumber(expires) - now) / 1000))
  call('EXPIRE', key, string.format('%.0f', left))
end

local function line(symbol, timeline)
  local key = stem .. 'timeline:' .. symbol
  call('DEL', key)
  for from = 1, #timeline, 1000 do -- Lua's stack holds some 8,000 values
    call('ZADD', key, unpack(timeline, from, math.min(from + 999, #timeline)))
  end
end

local function latest(symbol, record)
  local key = stem .. 'latest:' .. symbol
  if record == '' then
    call('DEL', key)
  else
    call('COPY', stem .. 'record:' .. record, key, 'REPLACE')
  end
end

local function listed(symbol, score)
  if score == '' then
    call('ZREM', stem .. 'symbols', symbol)
    return
  end
  if score == 'now' then score = string.format('%.0f', now) end
  call('ZADD', stem .. 'symbols', score, symbol)
end

local symbols, records = newer()

local function concerned(symbol, its_records)
  if not symbols or symbols[symbol] then return true end
  for _, record in ipairs(its_records) do
    if records[record] then return true end
  end
  return false
end

local answers = {}
for i, each in ipairs(cmsgpack.unpack(ARGV[2])) do
  local symbol, its_records, hashes, timeline, top, score, event = unpack(each, 1, 7)
  answers[i] = concerned(symbol, its_records) and 0 or 1
  if answers[i] == 1 then
    for _, hash in ipairs(hashes) do replace(unpack(hash, 1, 3)) end
    if timeline then line(symbol, timeline) end
    if top then latest(symbol, top) end
    if score then listed(symbol, score) end
    if event then redis.pcall('PUBLISH', stem .. 'changed', symbol .. ' ' .. event) end
  end
end
return answers
