-- Where the log stands, and until when all is here: coverage.md, rule by rule.

local call, whole = redis.call, times.whole
local COVERAGE = keys.internal .. 'coverage'
local NAMES = { 'since', 'until', 'newest', 'subscription', 'upstream', 'stamp', 'reader',
  'proving', 'reached', 'holes', 'stale' }
local HOLES = 16 -- and one `first`
local CLOCKS = 3600000 -- ms by which upstream's clock may differ from ours

local function log_key(id)
  return keys.internal .. 'log:' .. id
end

local function uses()
  local log = log_key('*')
  return {
    { 'HMGET', COVERAGE, 'a' }, { 'HSET', COVERAGE, 'a', 'b', 'c' },
    { 'GET', log }, { 'SET', log, 'a', 'a' }, { 'EXPIRE', log, 'a' },
  }
end

local log = nil -- id, first, subscription, window, since: what the batch says of its log
local stored, it = {}, {} -- the hash's fields as text: as found, and as they become
local holes = {}
local holes_changed, told = false, false

local function put(name, value)
  it[name] = type(value) == 'number' and whole(value) or value
end

local function number(name)
  return tonumber(it[name])
end

local function read(of)
  log = of
  local found = refusal.read('HMGET', COVERAGE, unpack(NAMES))
  for i, name in ipairs(NAMES) do
    local text = found[i] or ''
    stored[name], it[name] = text, text
  end
  if it.holes ~= '' then holes = cmsgpack.unpack(it.holes) end
  log.position = tonumber(refusal.read('GET', log_key(log.id)) or '') or -1
  return log.position
end

-- Whose all this is, where it is not this upstream's.
local function foreign(host)
  if it.upstream == '' then it.upstream = host end
  return it.upstream ~= host and it.upstream
end

local function stale()
  return it.stale ~= '' and cmsgpack.unpack(it.stale) or {}
end

-- No two are alike, also in a Redis that was emptied and whose TIME stepped back.
local function new_id(change_number)
  return whole(seen.tick()) .. '-' .. log.id .. '-' .. whole(change_number)
end

local function keep(wanted)
  local kept = {}
  for _, hole in ipairs(holes) do
    if wanted(hole) then kept[#kept + 1] = hole end
  end
  holes, holes_changed = kept, true
end

-- The two oldest of a kind become one. No mark that is on its way means that one.
local function join(a, b, change_number)
  a.begin, a['end'] = math.min(a.begin, b.begin), math.max(a['end'], b['end'])
  a.resume, a.opened = math.min(a.resume, b.resume), math.min(a.opened, b.opened)
  a.recovered = math.max(a.recovered, b.recovered)
  a.announced, a.cause = a.announced and b.announced, b.cause
  a.id = new_id(change_number)
  keep(function(hole) return hole ~= b end)
end

local function open(begin, finish, cause, change_number)
  if begin >= finish then return end
  local resume = number('newest')
  if not resume or cause == 'first' then resume = begin - CLOCKS end
  holes[#holes + 1] = {
    id = new_id(change_number), begin = begin, ['end'] = finish, cause = cause,
    resume = resume, opened = seen.tick(), announced = false, recovered = 0,
  }
  holes_changed = true
  local alike = {}
  for _, hole in ipairs(holes) do
    if (hole.cause == 'first') == (cause == 'first') then alike[#alike + 1] = hole end
  end
  if #alike > (cause == 'first' and 1 or HOLES) then join(alike[1], alike[2], change_number) end
end

-- What two subscriptions have in common: `*`, or lists with commas.
local function shared(a, b)
  if a == b or b == '*' then return a end
  if a == '*' then return b end
  local held, common = {}, {}
  for name in string.gmatch(b, '[^,]+') do held[name] = true end
  for name in string.gmatch(a, '[^,]+') do
    if held[name] then common[#common + 1] = name end
  end
  return table.concat(common, ',')
end

-- Of what is new in the log's subscription nothing was promised before.
local function subscribe(t, subscription, change_number)
  local is_new = shared(log.subscription, it.subscription) ~= log.subscription
  if is_new and log.window > 0 then open(t - log.window, t, 'first', change_number) end
  it.subscription = subscription
end

-- Changes of the log are lost. Whatever they were, they were read by `t`.
local function lacking(t)
  local covered = number('until')
  local begin = covered or log.since or t
  if not covered then put('since', begin) end
  open(begin, t, 'redis-rollback', log.first)
  if not covered or covered < t then
    put('until', t)
    it.reader = log.id
    -- The Opened that told of the subscription may be lost as well.
    subscribe(t, shared(log.subscription, it.subscription), log.first)
  end
  for _, hole in ipairs(holes) do hole.id = new_id(log.first) end
  holes_changed, it.proving = true, ''
end

local function is_proving()
  return it.proving ~= '' and it.reader == log.id
end

-- Notes a message: when it was first seen as one, if ever, and whether it took effect.
local function message(change, first_seen, took_effect)
  local source = change[at.source]
  if source ~= 'rest' then
    local updated = change[at.updated] or 0
    if updated > (number('newest') or 0) then put('newest', updated) end
    if first_seen and is_proving() and first_seen < (number('reached') or math.huge) then
      put('reached', first_seen)
    end
  end
  if took_effect and source ~= 'live' and #holes > 0 then
    for _, hole in ipairs(holes) do hole.recovered = hole.recovered + 1 end
    holes_changed = true
  end
end

local function among(ids)
  local held = {}
  for _, id in ipairs(ids) do held[id] = true end
  return function(hole) return held[hole.id] end
end

-- Each takes a mark and its number in the log, and returns its result.
local marks = {}

function marks.opened(mark, change_number)
  local t, covered = mark[at.t], number('until')
  if covered and t <= covered then return 'late' end
  if covered then
    open(covered, t, change_number == 0 and 'restart' or 'reconnect', change_number)
  else
    put('since', log.since or t)
    if log.since then open(log.since, t, 'redis-rollback', change_number) end
  end
  subscribe(t, log.subscription, change_number)
  put('until', t)
  it.reader, it.proving, it.reached = log.id, '1', ''
  return 'opened'
end

-- Of the reader alone: others did not see what was sent since they last took effect.
function marks.heard(mark)
  local covered = number('until')
  if covered and it.reader == log.id and mark[at.t] > covered then put('until', mark[at.t]) end
  return 'heard'
end

-- The replay reaches back before holes opened after the oldest that it brought again.
function marks.replayed()
  local reached = number('reached')
  if is_proving() then
    if reached then
      keep(function(hole) return hole.cause == 'first' or hole.opened <= reached end)
    end
    it.proving = ''
  end
  return 'replayed'
end

function marks.filled(mark)
  local is_named = among(mark[at.ids])
  keep(function(hole) return not is_named(hole) end)
  return 'filled'
end

marks['gave up'] = function(mark)
  local is_named, result = among(mark[at.ids]), 'given up'
  for _, hole in ipairs(holes) do
    if is_named(hole) then
      if hole.cause ~= 'first' and not hole.announced then
        entry.gap(hole, mark[at.t])
        result, told = 'gap', true
      end
      hole.announced, holes_changed = true, true
    end
  end
  if not mark[at.keep] then keep(function(hole) return not is_named(hole) end) end
  return result
end

local function renew()
  call('EXPIRE', log_key(log.id), set.position_s)
end

local function pack_holes()
  if holes_changed then
    it.holes, holes_changed = #holes > 0 and cmsgpack.pack(holes) or '', false
  end
  return it.holes
end

-- Writes what has changed, and last of all the position: then it counts. Where nothing
-- was applied nothing is written, but that a gap was announced or a `latest` is stale.
local function write(last, now_stale)
  local changed = {}
  it.stale = next(now_stale) and cmsgpack.pack(now_stale) or ''
  if last == log.position and it.stale == stored.stale and not told then return end
  put('stamp', seen.last_stamp())
  pack_holes()
  for _, name in ipairs(NAMES) do
    if it[name] ~= stored[name] then
      changed[#changed + 1] = name
      changed[#changed + 1] = it[name]
    end
  end
  call('HSET', COVERAGE, unpack(changed))
  if last > log.position then
    call('SET', log_key(log.id), whole(last), 'EX', set.position_s)
  end
end

local function answer()
  return number('since') or false, number('until') or false, it.subscription, it.reader,
    pack_holes()
end

return {
  uses = uses, read = read, foreign = foreign, stale = stale, number = number,
  lacking = lacking, message = message, marks = marks, renew = renew, write = write,
  answer = answer,
}
