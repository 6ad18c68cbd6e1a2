-- What marks do, and what is lacking does: coverage.md, rule by rule.

local MOST = 16 -- and one `first`
local CLOCKS = 3600000 -- ms by which upstream's clock may differ from ours
local get, number, put, put_holes = coverage.get, coverage.number, coverage.put, coverage.put_holes

-- No two are alike, also in a Redis that was emptied and whose TIME stepped back.
local function new_id(log, change_number)
  return times.whole(seen.tick()) .. '-' .. log.id .. '-' .. times.whole(change_number)
end

local function keep(wanted)
  local kept = {}
  for _, hole in ipairs(coverage.holes()) do
    if wanted(hole) then kept[#kept + 1] = hole end
  end
  put_holes(kept)
end

-- The two oldest of a kind become one. No mark that is on its way means that one.
local function join(a, b, id)
  a.begin, a['end'] = math.min(a.begin, b.begin), math.max(a['end'], b['end'])
  a.resume, a.opened = math.min(a.resume, b.resume), math.min(a.opened, b.opened)
  a.recovered = math.max(a.recovered, b.recovered)
  a.announced, a.cause, a.id = a.announced and b.announced, b.cause, id
  keep(function(hole) return hole ~= b end)
end

local function open(log, begin, finish, cause, change_number)
  if begin >= finish then return end
  local all, alike, resume = coverage.holes(), {}, number('newest')
  if not resume or cause == 'first' then resume = begin - CLOCKS end
  all[#all + 1] = {
    id = new_id(log, change_number), begin = begin, ['end'] = finish, cause = cause,
    resume = resume, opened = seen.tick(), announced = false, recovered = 0,
  }
  put_holes(all)
  for _, hole in ipairs(all) do
    if (hole.cause == 'first') == (cause == 'first') then alike[#alike + 1] = hole end
  end
  if #alike > (cause == 'first' and 1 or MOST) then
    join(alike[1], alike[2], new_id(log, change_number))
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
local function open_first(log, t, change_number)
  local is_new = shared(log.subscription, get('subscription') or '') ~= log.subscription
  if is_new and log.window > 0 then open(log, t - log.window, t, 'first', change_number) end
end

-- Changes of the log are lost. Whatever they were, they were read by `t`.
local function lacking(log, t)
  local covered = number('until')
  local begin = covered or log.since or t
  if not covered then put('since', begin) end
  open(log, begin, t, 'redis-rollback', log.first)
  if not covered or covered < t then
    put('until', t)
    put('reader', log.id)
    open_first(log, t, log.first)
    -- The Opened that told of the subscription may be lost as well.
    put('subscription', shared(log.subscription, get('subscription') or ''))
  end
  for _, hole in ipairs(coverage.holes()) do hole.id = new_id(log, log.first) end
  put_holes(coverage.holes())
  put('proving', '')
end

-- Each takes the log, a mark and its number, and returns its result.
local marks = {}

function marks.opened(log, mark, change_number)
  local t, covered = mark[at.t], number('until')
  if covered and t <= covered then return 'late' end
  if covered then
    open(log, covered, t, change_number == 0 and 'restart' or 'reconnect', change_number)
  else
    put('since', log.since or t)
    open(log, log.since or t, t, 'redis-rollback', change_number)
  end
  open_first(log, t, change_number)
  put('subscription', log.subscription)
  put('until', t)
  put('reader', log.id)
  put('proving', '1')
  put('reached', '')
  return 'opened'
end

-- Of the reader alone: others did not see what was sent since they last took effect.
function marks.heard(log, mark)
  local t, covered = mark[at.t], number('until')
  if covered and t > covered and get('reader') == log.id then put('until', t) end
  return 'heard'
end

-- The replay reaches back before what was opened after the oldest that it brought again.
function marks.replayed()
  local reached = number('reached')
  if coverage.is_proving() then
    if reached then
      keep(function(hole) return hole.cause == 'first' or hole.opened <= reached end)
    end
    put('proving', '')
  end
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
  for _, hole in ipairs(coverage.holes()) do
    if is_named(hole) then
      if hole.cause ~= 'first' and not hole.announced then
        entry.gap(hole, mark[at.t])
        coverage.due()
        result = 'gap'
      end
      hole.announced = true
    end
  end
  keep(function(hole) return mark[at.keep] or not is_named(hole) end)
  return result
end

return { lacking = lacking, marks = marks }
