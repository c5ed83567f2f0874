-- Notes that the index of device ids has this device.
-- KEYS  deviceKeys
-- ARGV  now
-- Returns 1, or 0: no such device
-- flags: allow-oom
--@include clock
--@include record
local r = loadRecord(timeOf(ARGV[1]))
if not r then return 0 end
r[INDEXED] = 1
saveRecord(r)
return 1
