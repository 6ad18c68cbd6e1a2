-- The changes of a batch, one packed behind the other (kinds.py). What is written as it is,
-- the fields of the hash, stands last: it is read when it is wanted, and then right onto
-- Lua's stack, for a table of so many would take longer than the rest of a change.

local batch, byte = ARGV[2], string.byte

-- How many parts the array that begins behind an offset has, and where the first begins.
local function array(offset)
  local head, high, low = byte(batch, offset + 1, offset + 3)
  if head == 0xdc then return high * 256 + low, offset + 3 end
  return head - 0x90, offset + 1 -- MessagePack: up to 15
end

-- Takes how many bytes each is; a message is read but for its fields.
local function changes(sizes)
  local list, offset = {}, 0
  for i = 1, #sizes do
    local count, first = array(offset)
    if count == set.message_parts then count = count - 1 end
    list[i] = { cmsgpack.unpack_limit(batch, count, first) }
    offset = offset + sizes[i]
  end
  return list
end

-- Returns name, value, … of a message, as many values.
local function fields(change)
  local count, first = array(change[at.rest])
  return select(2, cmsgpack.unpack_limit(batch, count, first))
end

return { changes = changes, fields = fields }
