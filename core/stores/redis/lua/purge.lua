-- Forgets a device: record, log, dedup ids, claim.
-- KEYS  deviceKeys
-- ARGV  now, where the claims of nodes are noted
-- Returns nil (there was none) | {node, claim, how many messages went with it}
-- flags: allow-oom
--@include clock
--@include record
--@include claims
local r = loadRecord(timeOf(ARGV[1]))
if not r then return nil end
forgetClaim(ARGV[2], r[NODE])
deleteDevice()
return { r[NODE], r[CLAIM], r[PENDING] }
