-- What came over REST beside what came live, and removals. Made when wanted.

local call = redis.call
local GONE = server.internal .. 'gone:'

-- A removal that REST tells of has no timestamp, and at times no version: then it comes
-- after all that is stored. It is news only of what is not gone yet.
local function removes(change, stored)
  if change[at.version] == 0 and stored then change[at.version] = stored.version end
  if not stored then return change[at.version] > 0 end
  return not stored.deleted and change[at.version] >= stored.version
end

-- With a watch-list, a removal of what Redis does not know may be of what nobody asked
-- for. It leaves no entry; but no late frame brings the record back.
local function gone_unseen(record, key)
  local found = server.read('GET', GONE .. record)
  return found and { key = key, version = tonumber(found) or 0, deleted = true, symbol = '' }
end

local function note_unseen(change)
  entry.in_hand.wrote = true
  call('SET', GONE .. change[at.record], server.whole(change[at.version]), 'EX',
    set.tombstone_s)
  return 'duplicate'
end

-- Whether a frame says something else than what stands: a field that both have differs.
-- Not what is ours, nor `updated`: of insights it is in ms here and in s there.
local function says_other(change, key)
  local fields, names, values = { packed.fields(change) }, {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]
    if not string.find(name, '^_[^_]') and name ~= 'updated' then
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
local function came_since(change, stored)
  if not stored or stored.deleted or not order.newer(change, stored) then return false end
  if not says_other(change, stored.key) then return false end
  local found = call('HMGET', stored.key, '_source', '_received')
  if found[1] ~= 'rest' then return true end
  local a, a_ns = order.moment(change[at.moments][2])
  local b, b_ns = order.moment(found[2])
  return a > b or (a == b and a_ns > b_ns)
end

return {
  removes = removes, gone_unseen = gone_unseen, note_unseen = note_unseen,
  came_since = came_since,
}
