-- ------------------------------------------------------- from where REST has to resume

local NEWEST, OWED = stem .. 'newest', stem .. 'owed'
local SUBSCRIBED = stem .. 'subscribed' -- to what, when REST last gave what it owed
for _, key in ipairs({ NEWEST, OWED, SUBSCRIBED }) do
  types[key] = 'string'
  uses({ { 'GET', key }, { 'SET', key, 'a', 'a' } })
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

after_change[#after_change + 1] = function(change)
  local updated = change[UPDATED] or 0
  if updated > 0 and updated > newest_now() then newest = updated end
end

after_batch[#after_batch + 1] = function()
  if newest and newest > newest_before then call('SET', NEWEST, whole(newest)) end
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
