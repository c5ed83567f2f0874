-- Does to devices of a shard what time does, and notes when to look again. For each device it is one step.
-- KEYS  deviceKeys of each device, one device after the other
-- ARGV  now, shard, then the (empty) parts of all devices (lib/many.lua)
-- Returns for each device: u8 1
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
--@include due
--@include many
local now = timeOf(ARGV[1])
local shard = ARGV[2]

return forEachDevice(ARGV[3], function()
  local r, changed = openDevice(now)
  if r then
    local noted = r[NOTED_DUE]
    r[NOTED_DUE] = 0
    noteDue(r, shard)
    if changed or r[NOTED_DUE] ~= noted then saveRecord(r) end
  end
  if not r or r[NOTED_DUE] == 0 then
    redis.call('ZREM', 'pr-due:{' .. shard .. '}', string.sub(K_RECORD, 5, -2))
  end
  return '\1'
end)
