-- Ends the claims that a dead node has of these devices, as a release would. Claims of others stay. For each device it is one step.
-- KEYS  deviceKeys of each device, one device after the other
-- ARGV  now, shard, node, then the (empty) parts of all devices (lib/many.lua)
-- Returns for each device: u8 1 ended, 0 it has none of that node
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
--@include claims
--@include many
local now = timeOf(ARGV[1])
local shard, node = ARGV[2], ARGV[3]

return forEachDevice(ARGV[4], function()
  local r, changed = openDevice(now)
  local ends = r ~= nil and r[CLAIM] ~= '' and r[NODE] == node
  if ends then
    -- What it had put on the wire, nobody knows.
    r[MAYBE_SENT] = r[HEAD]
    endClaim(r, now, shard)
  else
    forgetClaim(node, shard)
  end
  if ends or changed then saveRecord(r) end
  return ends and '\1' or '\0'
end)
