-- Makes a claim the owner; creates the device.
-- KEYS  deviceKeys
-- ARGV  now, generation, id for a new epoch, node, claim id, force (1 or 0), shard
-- Returns {0, node, claim} (held by another) | {1, epoch of the cursor, cursor, head, last epoch, pending, subscription, indexed}
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
--@include claims
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then
  r = newRecord(now, ARGV[3], ARGV[2])
  changed = true
end
if r[CLAIM] ~= ARGV[5] then
  if r[CLAIM] ~= '' and ARGV[6] ~= '1' then
    if changed then saveRecord(r) end
    return { 0, r[NODE], r[CLAIM] }
  end
  -- A node gives its claims back, or flushes before another connection of its own takes the device. This one did neither.
  if r[CLAIM] ~= '' and r[NODE] ~= ARGV[4] then r[MAYBE_SENT] = r[HEAD] end
  if r[NODE] ~= ARGV[4] then
    forgetClaim(r[NODE], ARGV[7])
    noteClaim(ARGV[4], ARGV[7])
  end
  r[NODE], r[CLAIM] = ARGV[4], ARGV[5]
  r[CONNECTED], r[SEEN], r[USED] = now, now, now
  r[TOLD_OFFLINE] = 0
  -- Late acks of an earlier claim take no exceptions back.
  r[WIRE], r[WIRE_FROM] = r[WIRE] + 1, 0
  changed = true
end
if changed then saveRecord(r) end
return {
  1, epochAt(r, r[CURSOR]), r[CURSOR], r[HEAD], lastEpoch(r), r[PENDING], r[SUBSCRIPTION], r[INDEXED],
}
