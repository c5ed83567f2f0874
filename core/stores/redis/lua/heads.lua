-- What the sweep sees of devices. Each by itself.
-- KEYS  deviceKeys of each device, one device after the other
-- ARGV  now, then the parts of all devices (lib/many.lua), each: an ack to resolve: u8 length of the epoch (0: none), the epoch,
--       u48 seq
-- Returns for each device: u8 0 no device | u8 1; node, claim, last epoch and epoch of the cursor, each after its u16 length;
--   u48 head, u48 cursor, u48 pending, u48 time of the oldest waiting message (0: none); u8 1 and u48 what the ack counts up to, or u8 0 and u48 0
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
  local epoch, seq = struct.unpack('>Bc0I6', data, at)
  local r = lookAtDevice(now)
  if not r then return '\0' end
  local upTo = nil
  if epoch ~= '' then
    local _, counts = resolve(r, epoch, seq)
    upTo = counts
  end
  local oldest = 0
  if r[PENDING] > 0 then oldest = entryHead(redis.call('LINDEX', K_MESSAGES, 0)) end
  local node, claim, last, here = r[NODE], r[CLAIM], lastEpoch(r), epochAt(r, r[CURSOR])
  return struct.pack(
    '>BI2c0I2c0I2c0I2c0I6I6I6I6BI6',
    1, #node, node, #claim, claim, #last, last, #here, here, r[HEAD], r[CURSOR], r[PENDING], oldest,
    upTo and 1 or 0, upTo or 0
  )
end)
