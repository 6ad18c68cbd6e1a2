-- Applies a batch of one stream's changes, in order, as one atomic step.
--
-- One script, in parts that the client joins in the order of script.py: this one, refusal,
-- order, seen, entry; record and owed for streams of records, symbol for those of one hash
-- per symbol; and batch, which runs it all.
--
-- KEYS[1]  PREFIX:STREAM:events; all other keys share its stem, and so its slot
-- ARGV[1]  settings, MessagePack (client.py)
-- ARGV[2]  the batch, a MessagePack array of changes (change.py)
-- ARGV[3]  the newest entry of `events` that was acknowledged to this writer, or ''
--
-- Redis undoes nothing. So each change first reads and checks all that it will touch and
-- then writes; what is wrong with one change refuses that change alone, and what is wrong
-- with the server or with the stream's own keys refuses the batch before any write.
--
-- Returns a result per change: 'latest', 'record', 'none' (its effect), 'unattributed',
-- 'duplicate' (of a frame that only REST had given: 'duplicate of a row'), 'rejected',
-- 'gap', 'owed SINCE MARK', 'paid', or 'refused WHY'; the newest entry of `events`; and
-- the symbols of which a record changed.
-- Fails with 'ROLLBACK …' where the acknowledged entry is gone.

local set = cmsgpack.unpack(ARGV[1])
local stem = string.sub(KEYS[1], 1, -7) -- without 'events'
local EVENTS, SEEN, SYMBOLS = KEYS[1], stem .. 'seen', stem .. 'symbols'
local REJECTED, CHANGED = stem .. 'rejected', stem .. 'changed'
local call, format = redis.call, string.format

-- Redis turns a number into text at every call, which is slow, and Lua's own way
-- (`%.14g`) would cut milliseconds short.
local function whole(number)
  return format('%.0f', number)
end

local clock = call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = whole(now_ms)
local EVENTS_MAXLEN, REJECTED_MAXLEN = whole(set.events_maxlen), whole(set.rejected_maxlen)
local TOMBSTONE_S = whole(set.tombstone_s)

-- Where things stand in a change, which is an array (change.py).
local KIND, RECEIVED, KNOWN_BY, REMEMBER, RAW = 1, 2, 3, 4, 5
local SYMBOL, ACTION, RECORD, VERSION, SOURCE, ENVELOPE = 6, 7, 8, 9, 10, 11 -- message
local TIMESTAMP, PUBLISHED, PUBLISHED_AT, DATED, MOMENTS = 12, 13, 14, 15, 16
local HEADLINE, FIELDS, UPDATED = 17, 18, 19
local REASON = 6 -- rejected
local BEGIN, END, CAUSE, RECOVERED = 5, 6, 7, 8 -- gap
local SINCE, DEBT, SUBSCRIPTION = 5, 5, 6 -- owe, paid, both

local apply = {} -- by a change's kind: applies it, and returns its result
local wrote = false -- whether the change in hand has begun to write

-- What the parts say of themselves: the commands that they use, each on each form of key,
-- and the types of the stream's own keys. As they stand the commands change nothing: Redis
-- before 7 has to be asked by trying. No symbol is '*', but a record might be; none is ''.
local commands, types = {}, {}

local function uses(more)
  for i = 1, #more do commands[#commands + 1] = more[i] end
end

-- What some streams have to do besides, which record.lua and owed.lua add: after a change
-- that went well, after the last one, and where a message is known by its second alone.
local after_change, after_batch = {}, {}
local came_since = nil
