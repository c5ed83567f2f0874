-- Ends a claim, if it is the stored one.
-- KEYS  deviceKeys
-- ARGV  now, claim id, shard
-- Returns 1, or 0 (nothing changed)
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
--@include claims
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then return 0 end
local mine = r[CLAIM] ~= '' and r[CLAIM] == ARGV[2]
if mine then
  endClaim(r, now, ARGV[3])
end
if mine or changed then saveRecord(r) end
return mine and 1 or 0
