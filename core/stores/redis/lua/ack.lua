-- Merges an ack and watermarks, whoever brings them; handled messages leave.
-- KEYS  deviceKeys
-- ARGV  now, epoch and seq of the ack, epoch and seq of the sent watermark (epoch '': none), the same of the received one
-- Returns {counted, cursor, pending}; counted -1: no such device
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then return { -1, 0, 0 } end
local counted, merged = mergeAck(
  r, ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
)
if pruneRanges(r, now) then changed = true end
if changed or merged then saveRecord(r) end
return { counted and 1 or 0, r[CURSOR], r[PENDING] }
