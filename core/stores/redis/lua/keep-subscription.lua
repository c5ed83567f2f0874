-- Keeps a session's mailbox filter, for whom the stored claim says.
-- KEYS  deviceKeys
-- ARGV  now, claim id, filter ('': forget it)
-- Returns 1, or 0 (nothing changed)
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local now = timeOf(ARGV[1])
local r = openDevice(now)
if not r or r[CLAIM] == '' or r[CLAIM] ~= ARGV[2] then return 0 end
r[SUBSCRIPTION] = ARGV[3]
saveRecord(r)
return 1
