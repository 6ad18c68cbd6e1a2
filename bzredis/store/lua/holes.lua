-- What marks do, and what is lacking does: coverage.md, rule by rule. Made when wanted.

local MOST = 16 -- and one `first`
local CLOCKS = 3600000 -- ms by which upstream's clock may differ from ours
local now, change = coverage.now, coverage.change
local list = now.holes ~= '' and cmsgpack.unpack(now.holes) or {}

function coverage.pack_holes()
  return list[1] and cmsgpack.pack(list) or ''
end

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 } -- of the months

-- ms since 1970 as RFC 3339.
local function rfc3339(ms)
  local second, year, month = math.floor(ms / 1000), 1970, 1
  local day, days = math.floor(second / 86400) + 1, DAYS[1]
  while day > days do
    day, month = day - days, month + 1
    if month > 12 then year, month = year + 1, 1 end
    local leaps = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
    days = leaps and month == 2 and 29 or DAYS[month]
  end
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day,
    math.floor(second / 3600) % 24, math.floor(second / 60) % 60, second % 60, ms % 1000)
end

-- The log's entry for a hole that is a gap from now on: it has these fields alone.
local function announce(hole, t)
  local values = { action = 'gap', received = rfc3339(t), from = rfc3339(hole.begin),
    to = rfc3339(hole['end']), cause = hole.cause, recovered = hole.recovered }
  local fields = {}
  for _, name in ipairs(set.gap) do
    fields[#fields + 1] = name
    fields[#fields + 1] = values[name]
  end
  entry.in_hand.wrote = true
  redis.call('XADD', server.EVENTS, 'MAXLEN', '~', set.events_maxlen, '*', unpack(fields))
  coverage.due = true
end

-- No two are alike, also in a Redis that was emptied and whose TIME is the same again: then
-- the same change may open a larger one.
local function new_id(log, number, begin)
  local whole = server.whole
  return table.concat({ whole(seen.tick()), log.id, whole(number), whole(begin) }, '-')
end

local function keep(wanted)
  local kept = {}
  for _, hole in ipairs(list) do
    if wanted(hole) then kept[#kept + 1] = hole end
  end
  list = kept
end

-- The two oldest of a kind become one. No mark that is on its way means that one.
local function join(a, b, log, number)
  a.begin, a['end'] = math.min(a.begin, b.begin), math.max(a['end'], b['end'])
  a.resume, a.opened = math.min(a.resume, b.resume), math.min(a.opened, b.opened)
  a.recovered = math.max(a.recovered, b.recovered)
  a.announced, a.cause = a.announced and b.announced, b.cause
  a.id = new_id(log, number, a.begin)
  keep(function(hole) return hole ~= b end)
end

local function open(log, begin, finish, cause, number)
  if begin >= finish then return end
  local resume, alike = tonumber(now.newest), {}
  if not resume or cause == 'first' then resume = begin - CLOCKS end
  list[#list + 1] = {
    id = new_id(log, number, begin), begin = begin, ['end'] = finish, cause = cause,
    resume = resume, announced = false, recovered = 0,
    -- Where the coverage is gone, what is remembered of messages proves nothing of it.
    opened = tonumber(now['until']) and seen.tick() or 0,
  }
  for _, hole in ipairs(list) do
    if (hole.cause == 'first') == (cause == 'first') then alike[#alike + 1] = hole end
  end
  if #alike > (cause == 'first' and 1 or MOST) then
    join(alike[1], alike[2], log, number)
  end
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
local function open_first(log, t, number)
  local is_new = shared(log.subscription, now.subscription) ~= log.subscription
  if is_new and log.window > 0 then open(log, t - log.window, t, 'first', number) end
end

-- Changes of the log are lost. Whatever they were, they were read by `t`.
local function lacking(log, t)
  local covered = tonumber(now['until'])
  local begin = covered or log.since or t
  if not covered then change('since', begin) end
  open(log, begin, t, 'redis-rollback', log.first)
  if not covered or covered < t then
    change('until', t)
    change('reader', log.id)
    open_first(log, t, log.first)
    -- The Opened that told of the subscription may be lost as well.
    change('subscription', shared(log.subscription, now.subscription))
  end
  for _, hole in ipairs(list) do hole.id = new_id(log, log.first, hole.begin) end
  change('proving', '')
end

-- A message took effect that did not come live.
local function recovered()
  for _, hole in ipairs(list) do hole.recovered = hole.recovered + 1 end
end

-- Each takes the log, a mark and its number, and returns its result.
local marks = {}

function marks.opened(log, mark, number)
  local t, covered = mark[at.t], tonumber(now['until'])
  if covered and t <= covered then
    if now.reader == log.id then change('proving', '') end -- sent again: it brings back itself
    return 'late'
  end
  if covered then
    open(log, covered, t, number == 0 and 'restart' or 'reconnect', number)
  else
    change('since', log.since or t)
    open(log, now.since, t, 'redis-rollback', number)
  end
  open_first(log, t, number)
  change('subscription', log.subscription)
  change('until', t)
  change('reader', log.id)
  change('proving', '1')
  change('reached', '')
  return 'opened'
end

-- Of the reader alone: others did not see what was sent since they last took effect.
function marks.heard(log, mark)
  local t, covered = mark[at.sent], tonumber(now['until'])
  if covered and t > covered and now.reader == log.id then change('until', t) end
  return 'heard'
end

-- The replay reaches back before what was opened after the oldest that it brought again.
function marks.replayed(log)
  if now.proving == '' or now.reader ~= log.id then return 'replayed' end
  local reached = tonumber(now.reached) or math.huge
  keep(function(hole) return hole.cause == 'first' or hole.opened <= reached end)
  change('proving', '')
  return 'replayed'
end

local function among(ids)
  local held = {}
  for _, id in ipairs(ids) do held[id] = true end
  return function(hole) return held[hole.id] end
end

function marks.filled(_, mark)
  local is_named = among(mark[at.ids])
  keep(function(hole) return not is_named(hole) end)
  return 'filled'
end

marks['gave up'] = function(_, mark)
  local is_named, result = among(mark[at.ids]), 'given up'
  for _, hole in ipairs(list) do
    if is_named(hole) then
      if hole.cause ~= 'first' and not hole.announced then
        announce(hole, mark[at.t])
        result = 'gap'
      end
      hole.announced = true
    end
  end
  keep(function(hole) return mark[at.keep] or not is_named(hole) end)
  return result
end

return { lacking = lacking, recovered = recovered, marks = marks }
