-- Creates the device, or notes that it is used.
-- KEYS  deviceKeys
-- ARGV  now, generation, id for a new epoch
-- Returns indexed (1 or 0)
-- flags: none
--@include clock
--@include record
local now = timeOf(ARGV[1])
local r = loadRecord(now)
if not r then
  r = newRecord(now, ARGV[3], ARGV[2])
  saveRecord(r)
elseif now - r[USED] > 60000 then
  r[USED] = now
  saveRecord(r)
end
return r[INDEXED]
