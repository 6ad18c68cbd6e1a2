-- The keys of the stream. All share the stem of KEYS[1], and so its slot.

local stem = string.sub(KEYS[1], 1, -7) -- without 'events'

return {
  EVENTS = KEYS[1], SYMBOLS = stem .. 'symbols', REJECTED = stem .. 'rejected',
  CHANGED = stem .. 'changed', stem = stem, internal = stem .. 'internal:',
}
