-- Merges acks and watermarks, whoever brings them; handled messages leave. For each device it is one atomic step.
-- KEYS  deviceKeys of each device, one device after the other
-- ARGV  now, then the parts of all devices (lib/many.lua), each: the ack, the sent watermark, the received one, of each
--       u8 length of the epoch (0: none), the epoch, u48 seq
-- Returns for each device: u8 1 counted, 0 not, 2 no such device; u48 cursor, u48 pending
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
--@include many
local now = timeOf(ARGV[1])
local data = ARGV[2]

return forEachDevice(data, function(at)
  local epoch, seq, sentEpoch, sentSeq, receivedEpoch, receivedSeq = struct.unpack('>Bc0I6Bc0I6Bc0I6', data, at)
  local r, changed = openDevice(now)
  if not r then return struct.pack('>BI6I6', 2, 0, 0) end
  local counted, merged = mergeAck(r, epoch, seq, sentEpoch, sentSeq, receivedEpoch, receivedSeq)
  if pruneRanges(r, now) then changed = true end
  if changed or merged then saveRecord(r) end
  return struct.pack('>BI6I6', counted and 1 or 0, r[CURSOR], r[PENDING])
end)
