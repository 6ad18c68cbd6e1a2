-- Applies a batch of one stream's changes, in order, as one atomic step.
--
-- KEYS[1]  PREFIX:STREAM:events; all other keys share its stem, and so its slot
-- ARGV[1]  settings, MessagePack (client.py: Settings)
-- ARGV[2]  the batch, a MessagePack array of changes (change.py)
-- ARGV[3]  the newest entry of `events` that was acknowledged to this writer, or ''
--
-- Redis undoes nothing. So each change first reads and checks all that it will touch and
-- then writes; what is wrong with one change refuses that change alone, and what is wrong
-- with the server or with the stream's own keys refuses the batch before any write.
--
-- Returns a result per change: 'latest', 'record', 'none' (its effect), 'unattributed',
-- 'duplicate' (of a frame that only REST had given: 'duplicate of a row'), 'rejected',
-- 'gap', 'owed SINCE MARK', 'paid', or 'refused WHY'; then the newest entry of `events`.
-- Fails with 'ROLLBACK …' where the acknowledged entry is gone.

local set = cmsgpack.unpack(ARGV[1])
local stem = string.sub(KEYS[1], 1, -7) -- without 'events'
local EVENTS, SEEN, SYMBOLS = KEYS[1], stem .. 'seen', stem .. 'symbols'
local REJECTED, CHANGED = stem .. 'rejected', stem .. 'changed'
local NEWEST, OWED = stem .. 'newest', stem .. 'owed'
local SUBSCRIBED = stem .. 'subscribed' -- to what, when REST last gave what it owed
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
local HEADLINES = set.headline

-- Where things stand in a change, which is an array (change.py).
local KIND, RECEIVED, KNOWN_BY, REMEMBER, RAW = 1, 2, 3, 4, 5
local SYMBOL, ACTION, RECORD, VERSION, SOURCE, ENVELOPE = 6, 7, 8, 9, 10, 11 -- message
local TIMESTAMP, PUBLISHED, PUBLISHED_AT, DATED, MOMENTS = 12, 13, 14, 15, 16
local HEADLINE, FIELDS, UPDATED = 17, 18, 19
local REASON = 6 -- rejected
local BEGIN, END, CAUSE, RECOVERED = 5, 6, 7, 8 -- gap
local SINCE, DEBT, SUBSCRIPTION = 5, 5, 6 -- owe, paid, both

local wrote = false -- whether the change in hand has begun to write

-- ---------------------------------------------------------------- what may go wrong

-- Raised before the first write: it is this one change that cannot be applied.
local function refuse(why)
  error({ refused = why })
end

-- What was raised, or answered, in words that begin with Redis' code for it. Redis 6.2
-- raises text with a place in front; where permission is missing no server says NOPERM.
local function words(problem)
  local text = problem
  if type(problem) == 'table' then text = problem.refused or problem.err or '?' end
  text = string.gsub(text, '^[@=]%S+:%s*%-?%d+:%s*%-?', '')
  local denied = string.match(text, '^ERR (ACL failure in script.*)')
    or string.match(text, 'The user executing the script.*')
  return denied and 'NOPERM ' .. denied or text
end

-- What concerns the server, not the change: the whole batch waits.
local SERVER = {
  OOM = true, NOPERM = true, READONLY = true, MISCONF = true, NOREPLICAS = true,
  MASTERDOWN = true,
}

local function concerns_server(why)
  return SERVER[string.match(why, '^%u+') or '']
end

local function problem_with(key, wanted)
  local found = call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    return 'WRONGTYPE ' .. key .. ' holds a ' .. found .. ' where a ' .. wanted .. ' belongs'
  end
end

-- Each command on each form of key, so that a missing permission is found before any
-- write. As they stand they change nothing: Redis before 7 has to be asked by trying.
-- No symbol is '*', but a record might be; none is ''.
local function commands_used()
  local latest = stem .. 'latest:*'
  local record, timeline = stem .. 'record:*', stem .. 'timeline:*'
  local history = stem .. 'history:*'
  local of_record, of_symbol = stem .. 'heard:record:', stem .. 'heard:symbol:*'
  local used = {
    { 'XADD', EVENTS, '0-0', 'a', 'b' }, { 'XADD', REJECTED, '0-0', 'a', 'b' },
    { 'ZADD', SEEN, 'XX', '0', '*' }, { 'ZREMRANGEBYRANK', SEEN, '1', '0' },
    { 'ZMSCORE', SEEN, '*' }, { 'ZCARD', SEEN }, { 'ZCOUNT', SEEN, '1', '0' },
    { 'ZADD', SYMBOLS, 'XX', '0', '*' }, { 'ZREM', SYMBOLS, '*' },
    { 'HSET', latest, 'a', 'b', 'c' }, { 'HDEL', latest, 'a' }, { 'DEL', latest },
  }
  local more = set.keyed == 'record' and {
    { 'HSET', record, 'a', 'b', 'c' }, { 'HMGET', record, 'a' },
    { 'EXPIRE', record, 'a' }, { 'COPY', record, latest, 'a' },
    { 'ZADD', timeline, 'XX', '0', 'a' }, { 'ZREM', timeline, 'a' },
    { 'ZCARD', timeline }, { 'ZRANGE', timeline, '0', '0' },
    { 'ZREVRANGE', timeline, '0', '0' }, { 'ZSCORE', timeline, 'a' },
    { 'GET', NEWEST }, { 'SET', NEWEST, 'a', 'a' },
    { 'GET', OWED }, { 'SET', OWED, 'a', 'a' },
    { 'GET', SUBSCRIBED }, { 'SET', SUBSCRIBED, 'a', 'a' },
  } or {
    { 'HMGET', latest, 'a' }, { 'HGETALL', latest },
    { 'XADD', history, '0-0', 'a', 'b' },
    { 'HMGET', of_record, 'a' }, { 'HSET', of_record, 'a', 'b', 'c' },
    { 'EXPIRE', of_record, 'a' }, { 'DEL', of_record },
    { 'HMGET', of_symbol, 'a' }, { 'HSET', of_symbol, 'a', 'b', 'c' },
    { 'EXPIRE', of_symbol, 'a' }, { 'DEL', of_symbol },
  }
  for i = 1, #more do used[#used + 1] = more[i] end
  if set.watched and set.keyed == 'record' then
    used[#used + 1] = { 'GET', stem .. 'gone:*' }
    used[#used + 1] = { 'SET', stem .. 'gone:*', 'a', 'a' }
  end
  return used
end

local function forbidden()
  local may = redis.acl_check_cmd
  for _, command in ipairs(commands_used()) do
    local why = nil
    if not may then
      local reply = redis.pcall(unpack(command))
      why = type(reply) == 'table' and reply.err and words(reply) or ''
      if not concerns_server(why) then why = nil end
    elseif not may(unpack(command)) then
      why = 'NOPERM'
    end
    if why and string.find(why, '^NOPERM') then
      return 'NOPERM this user may not run ' .. command[1] .. ' on ' .. command[2]
    end
    if why then return why end
  end
  if may and not may('PUBLISH', CHANGED, '') then
    return 'NOPERM this user may not PUBLISH to ' .. CHANGED
  end
end

-- ------------------------------------------------------------------- order in time

-- A comparable time (times.py) as two numbers: to the second, and the nanoseconds.
local function moment(text)
  local y, mo, d, h, mi, s, rest =
    string.match(text or '', '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)Z$')
  if not y then return 0, 0 end
  return tonumber(y .. mo .. d .. h .. mi .. s), tonumber((rest .. '000000000'):sub(1, 9))
end

-- Whether a record stands above another, by a score and then by its id. Lua compares
-- text by the server's locale, Redis by its bytes.
local function above(score, record, other_score, other)
  if score ~= other_score then return score > other_score end
  for i = 1, math.min(#record, #other) do
    local a, b = string.byte(record, i), string.byte(other, i)
    if a ~= b then return a > b end
  end
  return #record > #other
end

-- Higher version, then later moment, then a delete; then, of two records, the higher id,
-- and of one what did not come over REST.
local function newer(change, stored)
  if change[VERSION] ~= stored.version then return change[VERSION] > stored.version end
  local deletes = change[ACTION] == 'deleted'
  local moments = change[MOMENTS]
  for i = 1, #moments, 2 do
    local name = moments[i]
    local a, a_ns = moment(moments[i + 1])
    local b, b_ns = moment(call('HMGET', stored.key, name)[1])
    -- A removal that REST tells of has no timestamp to compare.
    local timeless = name == '_timestamp'
      and ((deletes and a == 0) or (stored.deleted and b == 0))
    if not timeless and a ~= b then return a > b end
    if not timeless and a_ns ~= b_ns then return a_ns > b_ns end
  end
  if deletes ~= stored.deleted then return deletes end
  if stored.record and stored.record ~= change[RECORD] then
    return above(0, change[RECORD], 0, stored.record)
  end
  return change[SOURCE] ~= 'rest'
end

-- ---------------------------------------------------------------- what came before

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

-- -------------------------------------------------------------- parts of both kinds

local last_entry = false
local dated_now = {} -- for `symbols`: score, symbol, …

local function notify(symbol, entry)
  redis.pcall('PUBLISH', CHANGED, symbol .. ' ' .. entry)
end

-- The first write of each message. Only where it succeeded is the message known.
local function log_entry(change, symbol, effect, shift)
  local rest, headline = {}, change[HEADLINE]
  for i = 1, #HEADLINES do
    rest[#rest + 1] = HEADLINES[i]
    rest[#rest + 1] = headline[i]
  end
  if shift then
    rest[#rest + 1] = 'shift'
    rest[#rest + 1] = shift
  end
  rest[#rest + 1] = 'raw'
  rest[#rest + 1] = change[RAW]
  wrote = true
  local entry = call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_MAXLEN, '*',
    'envelope', change[ENVELOPE], 'action', change[ACTION], 'record', change[RECORD],
    'symbol', symbol, 'timestamp', change[TIMESTAMP], 'received', change[RECEIVED],
    'source', change[SOURCE], 'version', whole(change[VERSION]), 'effect', effect,
    unpack(rest))
  last_entry = entry
  remember(change[REMEMBER])
  return entry
end

-- Whether a field of a hash is the bridge's: upstream's own with a '_' get a second one.
local function is_ours(name)
  return name:sub(1, 1) == '_' and name:sub(2, 2) ~= '_'
end

local function stored_at(key)
  local found = redis.pcall('HMGET', key, '_version', '_action', '_symbol', '_published')
  if found.err then refuse(words(found) .. ' (' .. key .. ')') end
  if not found[1] then return nil end
  return {
    key = key, version = tonumber(found[1]) or 0, deleted = found[2] == 'deleted',
    symbol = found[3] or '', published_at = found[4],
  }
end

-- Replaces a hash whole. Our own fields first: Redis finds the first ones fastest.
local function write_hash(key, change, fields, symbol, entry, published_at)
  local timestamp = change[MOMENTS][2]
  call('DEL', key)
  call('HSET', key, '_version', whole(change[VERSION]), '_action', change[ACTION],
    '_symbol', symbol, '_published', published_at, '_timestamp', timestamp,
    '_record', change[RECORD], '_received', change[RECEIVED], '_source', change[SOURCE],
    '_event', entry, unpack(fields))
  if symbol == '' then call('HDEL', key, '_symbol') end
  if timestamp == '' then call('HDEL', key, '_timestamp') end
  if change[RECORD] == '' then call('HDEL', key, '_record') end
end

-- ------------------------------------------------------- streams of single records

local lines = {} -- symbol -> its timeline, as it stands in this batch
local touched = {} -- those whose `latest` has to be made anew

-- The top of a timeline: false where it is empty, nil (until here) where not known.
local function top_of(line)
  if line.top == nil then
    local found = redis.pcall('ZREVRANGE', line.timeline, '0', '0', 'WITHSCORES')
    if found.err then refuse(words(found) .. ' (' .. line.timeline .. ')') end
    line.top, line.score = found[1] or false, tonumber(found[2])
    line.written = false -- its record, in this batch
  end
  return line.top
end

local function line_of(symbol)
  if symbol == '' then return nil end
  local line = lines[symbol]
  if not line then
    line = { symbol = symbol, latest = stem .. 'latest:' .. symbol,
      timeline = stem .. 'timeline:' .. symbol }
    local problem = problem_with(line.latest, 'hash')
    if problem then refuse(problem) end
    line.count = top_of(line) and call('ZCARD', line.timeline) or 0
    lines[symbol] = line
  end
  return line
end

local function touch(line, entry)
  if not line.entry then touched[#touched + 1] = line end
  line.entry = entry
end

local function leave(line, record)
  line.count = line.count - call('ZREM', line.timeline, record)
  if line.top == record then line.top = nil end
end

local function enter(line, record, published)
  line.count = line.count + call('ZADD', line.timeline, published, record)
  local stays_top = line.top == record and published >= line.score
  if not line.top or stays_top or above(published, record, line.score, line.top) then
    line.top, line.score, line.written = record, published, true
  elseif line.top == record then
    line.top = nil -- it was published earlier than we knew
  end
end

-- Returns whether a newcomer is new enough to stay, and which records it replaces.
local function room_for(line, record, published)
  local over = line.count + 1 - set.timeline_length
  if over <= 0 then return true, {} end
  local found = call('ZRANGE', line.timeline, '0', whole(over - 1), 'WITHSCORES')
  local oldest = {}
  for i = 1, #found, 2 do oldest[#oldest + 1] = found[i] end
  local stays = above(published, record, tonumber(found[#found]), oldest[#oldest])
  if not stays then oldest[#oldest] = nil end
  return stays, oldest
end

-- The time of the first message stands where no message of a record has a date.
local function publication(change, stored)
  if change[DATED] or not stored or stored.deleted or not stored.published_at
    or stored.published_at >= change[PUBLISHED_AT]
    or call('HMGET', stored.key, 'date')[1] then
    return change[PUBLISHED], change[PUBLISHED_AT]
  end
  local score = stored.symbol ~= ''
    and call('ZSCORE', stem .. 'timeline:' .. stored.symbol, change[RECORD])
  if not score then return change[PUBLISHED], change[PUBLISHED_AT] end
  return tonumber(score), stored.published_at
end

-- A removal that REST tells of has no timestamp, and at times no version: then it comes
-- after all that is stored. It is news only of what is not gone yet.
local function removes(change, stored)
  if change[VERSION] == 0 and stored then change[VERSION] = stored.version end
  if not stored then return change[VERSION] > 0 end
  return not stored.deleted and change[VERSION] >= stored.version
end

-- With a watch-list, a removal of what Redis does not know may be of what nobody asked
-- for. It leaves no entry; but no late frame brings the record back.
local function gone_unseen(record, key)
  local gone = stem .. 'gone:' .. record
  local found = redis.pcall('GET', gone)
  if type(found) == 'table' then refuse(words(found) .. ' (' .. gone .. ')') end
  return found and { key = key, version = tonumber(found) or 0, deleted = true, symbol = '' }
end

local function note_unseen(change)
  wrote = true
  local key = stem .. 'gone:' .. change[RECORD]
  call('SET', key, whole(change[VERSION]), 'EX', TOMBSTONE_S)
  return 'duplicate'
end

local function apply_record(change)
  local record, deletes = change[RECORD], change[ACTION] == 'deleted'
  local key = stem .. 'record:' .. record
  local stored = stored_at(key) or set.watched and gone_unseen(record, key) or nil
  local symbol = change[SYMBOL]
  if deletes and symbol == '' and stored then symbol = stored.symbol end
  local line = line_of(symbol)
  local before = stored and not stored.deleted and line_of(stored.symbol) or nil
  local is_newer
  if deletes and change[SOURCE] == 'rest' then
    is_newer = removes(change, stored)
    if is_newer and not stored and set.watched then return note_unseen(change) end
  else
    is_newer = not stored or newer(change, stored)
  end
  if not is_newer and change[SOURCE] == 'rest' then return 'duplicate' end
  if not is_newer then
    log_entry(change, symbol, 'none')
    return 'none'
  end

  local published, published_at = publication(change, stored)
  if deletes and stored and stored.published_at and not change[DATED] then
    published_at = stored.published_at
  end
  local enters = line and not deletes
  local stays, replaced = true, nil
  if enters and before ~= line then
    stays, replaced = room_for(line, record, published)
  end
  local was_top = before and top_of(before) == record
  local is_top = enters and stays and (not top_of(line) or line.top == record
    or above(published, record, line.score, line.top))
  local effect = (was_top or is_top) and 'latest' or (stays or before) and 'record' or 'none'

  local entry = log_entry(change, symbol, effect)
  if before and (deletes or before ~= line) then leave(before, record) end
  if enters and stays then enter(line, record, published) end
  for i = 1, replaced and #replaced or 0 do
    leave(line, replaced[i])
    call('DEL', stem .. 'record:' .. replaced[i])
  end
  if was_top then touch(before, entry) end
  if is_top then touch(line, entry) end
  if not stays then
    call('DEL', key)
    return effect
  end
  write_hash(key, change, deletes and {} or change[FIELDS], symbol, entry, published_at)
  -- Nothing else would ever remove a tombstone, or a record without a symbol.
  if deletes or symbol == '' then call('EXPIRE', key, TOMBSTONE_S) end
  return effect
end

-- Whether a record is there, alive, and this symbol's: it may have been evicted, or
-- deleted or written by hand.
local function belongs(record, symbol)
  local found = redis.pcall('HMGET', stem .. 'record:' .. record, '_symbol', '_action')
  return found[1] == symbol and found[2] ~= 'deleted'
end

local function refresh_latest(line)
  local top = top_of(line)
  while top and not line.written and not belongs(top, line.symbol) do
    leave(line, top)
    top = top_of(line)
  end
  if top then
    call('COPY', stem .. 'record:' .. top, line.latest, 'REPLACE')
    dated_now[#dated_now + 1] = now
    dated_now[#dated_now + 1] = line.symbol
  else
    call('DEL', line.latest)
    call('ZREM', SYMBOLS, line.symbol)
  end
  notify(line.symbol, line.entry)
end

-- ------------------------------------------------------ streams of one per symbol

local function as_map(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

-- The same figures: all fields but ours and the time of update.
local function same_figures(was, is)
  local function within(a, b)
    for name, value in pairs(a) do
      if not is_ours(name) and name ~= 'updated_at' and b[name] ~= value then return false end
    end
    return true
  end
  return within(was, is) and within(is, was)
end

local COMPARED = { 'consensus_rating', 'consensus_rating_val', 'consensus_price_target' }

local function shift_of(was, is)
  local a = tonumber(was.consensus_rating_val)
  local b = tonumber(is.consensus_rating_val)
  if not a or not b then return '' end
  return b > a and 'up' or b < a and 'down' or 'same'
end

-- What was heard last of a record (`heard:record:ID`) and of a symbol
-- (`heard:symbol:SYM`), whatever became of it: else what stands would hang on the order
-- in which messages come, for a consensus leaves no record behind.
local function heard_at(key)
  local found = redis.pcall('HMGET', key, '_version', '_action', '_symbol', '_record', 'gone')
  if found.err then refuse(words(found) .. ' (' .. key .. ')') end
  if not found[1] then return nil end
  return {
    key = key, version = tonumber(found[1]) or 0, deleted = found[2] == 'deleted',
    symbol = found[3] or '', record = found[4] or '', gone = found[5],
  }
end

local function note_heard(key, change, symbol)
  local fields = { '_version', whole(change[VERSION]), '_action', change[ACTION],
    '_symbol', symbol, '_record', change[RECORD] }
  for _, part in ipairs(change[MOMENTS]) do fields[#fields + 1] = part end
  call('DEL', key)
  call('HSET', key, unpack(fields))
end

-- Where a symbol stands: the newest that was heard of it, and whether that is there.
local function standing_of(symbol)
  if symbol == '' then return nil end
  local latest, key = stem .. 'latest:' .. symbol, stem .. 'heard:symbol:' .. symbol
  local problem = problem_with(latest, 'hash')
    or problem_with(stem .. 'history:' .. symbol, 'stream')
  if problem then refuse(problem) end
  local shown, newest = heard_at(latest), heard_at(key)
  -- Someone may have removed either of them.
  if not newest or not (shown or newest.deleted or newest.gone) then newest = shown end
  -- Or an older version of this program wrote in between, which notes nothing.
  if shown and shown.version > newest.version then newest = shown end
  return { symbol = symbol, latest = latest, key = key, newest = newest, shown = shown }
end

local function is_of(standing, record)
  return standing and standing.shown and standing.newest.record == record
end

local function take_away(standing, entry)
  call('DEL', standing.latest)
  call('ZREM', SYMBOLS, standing.symbol)
  call('EXPIRE', standing.key, TOMBSTONE_S)
  notify(standing.symbol, entry)
end

-- The record that a symbol's consensus came from has left it.
local function leave_symbol(standing, entry)
  local newest = standing.newest
  call('HSET', standing.key, '_version', whole(newest.version), '_record', newest.record,
    'gone', '1')
  take_away(standing, entry)
end

local function show_consensus(standing, change, was, shift, entry)
  local latest, symbol, is = standing.latest, standing.symbol, as_map(change[FIELDS])
  if was and same_figures(was, is) then
    call('HSET', latest, '_version', whole(change[VERSION]), '_received', change[RECEIVED])
    if is.updated_at then call('HSET', latest, 'updated_at', is.updated_at) end
  else
    local fields = change[FIELDS]
    for _, name in ipairs(was and COMPARED or {}) do
      if was[name] then
        fields[#fields + 1] = '_previous_' .. name
        fields[#fields + 1] = was[name]
      end
    end
    if shift ~= '' then
      fields[#fields + 1] = '_shift'
      fields[#fields + 1] = shift
    end
    write_hash(latest, change, fields, symbol, entry, change[PUBLISHED_AT])
    call('XADD', stem .. 'history:' .. symbol, 'MAXLEN', '~', whole(set.history_maxlen),
      '*', unpack(call('HGETALL', latest)))
  end
  call('ZADD', SYMBOLS, now, symbol)
  notify(symbol, entry)
end

-- `latest` is the newest that was said of the symbol, until its record is deleted or
-- moves away: then it goes, for older ones are not kept. A message without a record
-- speaks for the symbol alone.
local function apply_symbol(change)
  local record, deletes = change[RECORD], change[ACTION] == 'deleted'
  local of_record = record ~= '' and stem .. 'heard:record:' .. record or nil
  local held = of_record and heard_at(of_record)
  local symbol = change[SYMBOL]
  if symbol == '' and held then symbol = held.symbol end
  if symbol == '' and not (of_record and deletes) then
    log_entry(change, '', 'none', '')
    return 'unattributed'
  end

  local outdated = held and not newer(change, held)
  local here, before = standing_of(symbol), nil
  if held and held.symbol ~= symbol then before = standing_of(held.symbol) end
  local leads = here and not (of_record and deletes)
    and (not here.newest or newer(change, here.newest))
  if change[SOURCE] == 'rest' and (outdated or not leads) then return 'duplicate' end

  local stands = leads and not outdated and not deletes
  local leaves_here = of_record and deletes and not outdated and is_of(here, record)
  local leaves_before = not outdated and is_of(before, record)
  local ends = leads and not stands and here.shown
  local effect = 'none'
  if stands or leaves_here or leaves_before or ends then effect = 'latest'
  elseif deletes and not outdated and (of_record or leads) then effect = 'record' end

  local was = stands and here.shown and as_map(call('HGETALL', here.latest))
  local shift = was and shift_of(was, as_map(change[FIELDS])) or ''
  local entry = log_entry(change, symbol, effect, shift)
  if of_record and not outdated then
    note_heard(of_record, change, symbol)
    if not stands then call('EXPIRE', of_record, TOMBSTONE_S) end
  end
  if leads then
    local newest = here.newest
    if newest and newest.record ~= '' and newest.record ~= record then
      call('EXPIRE', stem .. 'heard:record:' .. newest.record, TOMBSTONE_S)
    end
    note_heard(here.key, change, symbol)
    if outdated then call('HSET', here.key, 'gone', '1') end
    if not stands then call('EXPIRE', here.key, TOMBSTONE_S) end
  end
  if leaves_before then leave_symbol(before, entry) end
  if leaves_here then leave_symbol(here, entry) end
  if ends then take_away(here, entry) end
  if stands then show_consensus(here, change, was, shift, entry) end
  return effect
end

-- ------------------------------------------------------------------- the batch

local apply = { message = set.keyed == 'record' and apply_record or apply_symbol }

local function reject(reason, change, raw)
  wrote = true
  call('XADD', REJECTED, 'MAXLEN', '~', REJECTED_MAXLEN, '*', 'reason', reason,
    'received', change[RECEIVED], 'raw', raw)
end

function apply.rejected(change)
  reject(change[REASON], change, change[RAW])
  remember(change[REMEMBER])
  return 'rejected'
end

function apply.gap(change)
  local values = {
    action = 'gap', received = change[RECEIVED], from = change[BEGIN], to = change[END],
    cause = change[CAUSE], recovered = whole(change[RECOVERED]),
  }
  local entry = {}
  for _, name in ipairs(set.entry_fields) do
    entry[#entry + 1] = name
    entry[#entry + 1] = values[name] or ''
  end
  wrote = true
  last_entry = call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_MAXLEN, '*', unpack(entry))
  remember(change[REMEMBER])
  return 'gap'
end

-- Whether a frame says something else than what stands: a field that both have differs.
-- Not what is ours, nor `updated`: of insights it is in ms here and in s there.
local function says_other(change, key)
  local fields, names, values = change[FIELDS], {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]
    if not is_ours(name) and name ~= 'updated' then
      names[#names + 1], values[#values + 1] = name, fields[i + 1]
    end
  end
  if #names == 0 then return false end
  local held = call('HMGET', key, unpack(names))
  for i = 1, #names do
    if held[i] and held[i] ~= values[i] then return true end
  end
  return false
end

-- REST tells versions in seconds. A frame that is known only by its second is another
-- message where it says something else, and was sent after what REST gave and after all
-- that came since. The time alone would not do: our clock may be behind upstream's.
local function came_since(change)
  if set.keyed ~= 'record' then return false end
  local stored = stored_at(stem .. 'record:' .. change[RECORD])
  if not stored or stored.deleted or not newer(change, stored) then return false end
  if not says_other(change, stored.key) then return false end
  local found = call('HMGET', stored.key, '_source', '_received')
  if found[1] ~= 'rest' then return true end
  local a, a_ns = moment(change[MOMENTS][2])
  local b, b_ns = moment(found[2])
  return a > b or (a == b and a_ns > b_ns)
end

local function apply_once(change)
  local known_as = known_by(change)
  if not known_as then return apply[change[KIND]](change) end
  -- Of a row of REST nothing: it would hide what came live within the same second.
  if change[SOURCE] == 'rest' then return 'duplicate' end
  -- A frame's last fingerprint is the one that rows leave (change.py).
  local is_row = change[KIND] == 'message' and known_as == #change[KNOWN_BY]
  if is_row and came_since(change) then return apply_record(change) end
  remember(change[REMEMBER])
  return is_row and 'duplicate of a row' or 'duplicate'
end

-- The highest `updated` (ms) that any content had: from there REST resumes. Where a
-- fetch has begun and is not all written yet, from where that one began.
local newest_before, newest = nil, nil

local function newest_now()
  if not newest then
    newest_before = tonumber(call('GET', NEWEST) or '') or 0
    newest = newest_before
  end
  return newest
end

local function note_newest(change)
  local updated = set.keyed == 'record' and change[UPDATED] or 0
  if updated > 0 and updated > newest_now() then newest = updated end
end

-- Whether a subscription holds more than the one that REST last gave all of. For the
-- rest the newest that is stored tells nothing: it is fetched as on a first start.
local function is_wider(subscription)
  local before = call('GET', SUBSCRIBED)
  if not before or before == '*' then return false end
  local held = {}
  for name in string.gmatch(before, '[^,]+') do held[name] = true end
  for name in string.gmatch(subscription, '[^,]+') do
    if not held[name] then return true end
  end
  return false
end

function apply.owe(change)
  local owed = call('GET', OWED)
  local since = tonumber(string.match(owed or '', '^%d+') or '')
  local stored = newest_now()
  local ending = owed and string.match(owed, ' window$') or ''
  if stored > 0 and (not since or stored < since) then
    since, ending = stored, ''
  elseif not since then
    since, ending = change[SINCE], ' window'
  end
  if since > change[SINCE] and is_wider(change[SUBSCRIPTION]) then since = change[SINCE] end
  -- Its own: the end of another, which may come again, is not the end of this one.
  owed = whole(since) .. ' ' .. change[RECEIVED] .. ending
  wrote = true
  call('SET', OWED, owed)
  return 'owed ' .. owed
end

function apply.paid(change)
  wrote = true
  if call('GET', OWED) == change[DEBT] then
    call('DEL', OWED)
    call('SET', SUBSCRIBED, change[SUBSCRIPTION])
  end
  return 'paid'
end

-- Keeps a refused change where a person can look at it: once, however often it comes.
local function set_aside(change, why)
  local mark = 'refused ' .. change[KNOWN_BY][1]
  if known[mark] or call('ZMSCORE', SEEN, mark)[1] then return end
  reject(why, change, change[KIND] == 'message' and change[RAW] or '')
  remember({ mark })
end

-- Returns a result, or nil and why the batch cannot go on.
local function result_of(change)
  wrote = false
  local fine, result = pcall(apply_once, change)
  if fine then
    note_newest(change)
    return result
  end
  local why = words(result)
  if wrote or concerns_server(why) then return nil, why end
  local kept, problem = pcall(set_aside, change, why)
  if not kept then return nil, words(problem) end
  return 'refused ' .. why
end

local function first_problem()
  local types = { [EVENTS] = 'stream', [REJECTED] = 'stream', [SEEN] = 'zset',
    [SYMBOLS] = 'zset' }
  if set.keyed == 'record' then
    types[NEWEST], types[OWED], types[SUBSCRIBED] = 'string', 'string', 'string'
  end
  for key, wanted in pairs(types) do
    local problem = problem_with(key, wanted)
    if problem then return problem end
  end
  return forbidden()
end

-- Entries leave `events` only at its old end, and only while it is full. Where an
-- acknowledged one is gone and that is not why, it is not the Redis that acknowledged it.
local function rolled_back(acknowledged)
  if acknowledged == '' or #call('XRANGE', EVENTS, acknowledged, acknowledged) > 0 then
    return false
  end
  local first = call('XRANGE', EVENTS, '-', '+', 'COUNT', '1')[1]
  if not first or call('XLEN', EVENTS) < set.events_maxlen then return true end
  local function parts(id)
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(n)
  end
  local ms, n = parts(first[1])
  local ack_ms, ack_n = parts(acknowledged)
  return ms < ack_ms or (ms == ack_ms and n < ack_n)
end

local problem = first_problem()
if problem then return redis.error_reply(problem) end
if rolled_back(ARGV[3]) then
  return redis.error_reply('ROLLBACK entry ' .. ARGV[3] .. ' of ' .. EVENTS .. ' is gone')
end

local changes = cmsgpack.unpack(ARGV[2])
look_up(changes)
local results, failure = {}, nil
for i = 1, #changes do
  results[i], failure = result_of(changes[i])
  if failure then break end
end
-- Also after a failure: what was applied before it is then whole, and known.
add_scores(SEEN, remembered)
for i = 1, #touched do refresh_latest(touched[i]) end
add_scores(SYMBOLS, dated_now)
if newest and newest > newest_before then call('SET', NEWEST, whole(newest)) end
if failure then return redis.error_reply(failure) end
trim_seen()
return { results, last_entry }
