-- Makes a waiting message an exception `cancelled`. Idempotent.
-- KEYS  deviceKeys
-- ARGV  now, seq, epoch ('': any)
-- Returns 'no_device' | 'gone' | 'already_handled' | 'cancelled' | 'maybe_delivered' (cancelled, but it may be on the wire)
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then return 'no_device' end
local seq = tonumber(ARGV[2])

local function cancel()
  if not isPlace(r, seq, ARGV[3]) then return 'gone' end
  local x = exceptionAt(r, seq)
  if x then
    if x.reason ~= CANCELLED then return 'gone' end
    return (x.wire ~= 0 or seq <= r[SENT]) and 'maybe_delivered' or 'cancelled'
  end
  if seq <= r[FLOOR] then return 'gone' end
  if seq <= r[CURSOR] then return 'already_handled' end
  local maybe = r[CLAIM] ~= '' or seq <= r[SENT]
  except(r, seq, entryAt(r, seq), CANCELLED, now)
  pruneRanges(r, now)
  changed = true
  return maybe and 'maybe_delivered' or 'cancelled'
end

local result = cancel()
if changed then saveRecord(r) end
return result
