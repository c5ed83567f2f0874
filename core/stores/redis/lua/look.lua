-- What the sweep and the API see of a device.
-- KEYS  deviceKeys
-- ARGV  now, epoch and seq of an ack to resolve (epoch '': none), whether the age of the oldest message is asked for (1 or 0)
-- Returns nil (no device) | {node, claim, last epoch, head, epoch of the cursor, cursor, pending, what the ack counts up to (-1),
--   pending bytes, created, connected, last seen, time of the oldest waiting message (0: none or not asked for)}
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local r = lookAtDevice(timeOf(ARGV[1]))
if not r then return nil end
local counts = nil
if ARGV[2] ~= '' then
  local _, upTo = resolve(r, ARGV[2], tonumber(ARGV[3]))
  counts = upTo
end
local oldest = 0
if ARGV[4] == '1' and r[PENDING] > 0 then oldest = entryHead(redis.call('LINDEX', K_MESSAGES, 0)) end
return {
  r[NODE], r[CLAIM], lastEpoch(r), r[HEAD], epochAt(r, r[CURSOR]), r[CURSOR], r[PENDING], counts or -1,
  r[PENDING_BYTES], r[CREATED], r[CONNECTED], r[SEEN], oldest,
}
