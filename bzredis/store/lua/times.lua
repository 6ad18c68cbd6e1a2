-- Redis' clock, and times in words.

-- Redis turns a number into text at every call, which is slow, and Lua's own way
-- (`%.14g`) would cut milliseconds short.
local function whole(number)
  return string.format('%.0f', number)
end

-- A comparable time (times.py) as two numbers: to the second, and the nanoseconds.
local function moment(text)
  local y, mo, d, h, mi, s, rest =
    string.match(text or '', '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)Z$')
  if not y then return 0, 0 end
  return tonumber(y .. mo .. d .. h .. mi .. s), tonumber((rest .. '000000000'):sub(1, 9))
end

-- ms since 1970 as RFC 3339. Years begin in March here, so that leap days come last; the
-- numbers are the days of 400, 100, 4 years and of one, and of five months.
local function rfc3339(ms)
  local floor, second = math.floor, math.floor(ms / 1000)
  local day = floor(second / 86400) + 719468
  local era, of_era = floor(day / 146097), day % 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524)
    - floor(of_era / 146096)) / 365)
  local of_year = of_era - 365 * year - floor(year / 4) + floor(year / 100)
  local month = floor((5 * of_year + 2) / 153)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ',
    year + 400 * era + (month >= 10 and 1 or 0), (month + 2) % 12 + 1,
    of_year - floor((153 * month + 2) / 5) + 1,
    floor(second / 3600) % 24, floor(second / 60) % 60, second % 60, ms % 1000)
end

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]

return {
  now_us = now_us, now = whole(math.floor(now_us / 1000)), whole = whole,
  moment = moment, rfc3339 = rfc3339,
}
