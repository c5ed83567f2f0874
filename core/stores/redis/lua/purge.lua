-- Forgets a device: record, log, dedup ids, claim.
-- KEYS  deviceKeys
-- ARGV  now
-- Returns nil (there was none) | {node, claim, how many messages went with it}
-- flags: allow-oom
--@include clock
--@include record
local r = loadRecord(timeOf(ARGV[1]))
if not r then return nil end
deleteDevice()
return { r[NODE], r[CLAIM], r[PENDING] }
