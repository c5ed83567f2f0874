-- Forgets a device: record, log, dedup ids, claim.
-- KEYS  deviceKeys
-- ARGV  now, shard
-- Returns nil (there was none) | {node, claim, how many messages went with it}
-- flags: allow-oom
--@include clock
--@include record
--@include claims
local r = loadRecord(timeOf(ARGV[1]))
if not r then return nil end
forgetClaim(r[NODE], ARGV[2])
deleteDevice()
return { r[NODE], r[CLAIM], r[PENDING] }
