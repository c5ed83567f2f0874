-- What the API sees of a device.
-- KEYS  deviceKeys
-- ARGV  now
-- Returns nil (no device) | {node, claim, last epoch, head, cursor, pending, pending bytes, created, connected, last seen,
--   time of the oldest waiting message (0: none)}
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local r = lookAtDevice(timeOf(ARGV[1]))
if not r then return nil end
local oldest = 0
if r[PENDING] > 0 then oldest = entryHead(redis.call('LINDEX', K_MESSAGES, 0)) end
return {
  r[NODE], r[CLAIM], lastEpoch(r), r[HEAD], r[CURSOR], r[PENDING], r[PENDING_BYTES], r[CREATED], r[CONNECTED], r[SEEN], oldest,
}
