-- Which of two comes after the other.

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
  local version = change[at.version]
  if version ~= stored.version then return version > stored.version end
  local deletes = change[at.action] == 'deleted'
  local moments = change[at.moments]
  for i = 1, #moments, 2 do
    local name = moments[i]
    local a, a_ns = moment(moments[i + 1])
    local b, b_ns = moment(redis.call('HMGET', stored.key, name)[1])
    -- A removal that REST tells of has no timestamp to compare.
    local timeless = name == '_timestamp'
      and ((deletes and a == 0) or (stored.deleted and b == 0))
    if not timeless and a ~= b then return a > b end
    if not timeless and a_ns ~= b_ns then return a_ns > b_ns end
  end
  if deletes ~= stored.deleted then return deletes end
  if stored.record and stored.record ~= change[at.record] then
    return above(0, change[at.record], 0, stored.record)
  end
  return change[at.source] ~= 'rest'
end

return { moment = moment, above = above, newer = newer }
