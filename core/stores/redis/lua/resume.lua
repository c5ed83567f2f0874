-- What a stream device's hello asks: its position counts as an ack, then delivery begins at the cursor.
-- KEYS  deviceKeys
-- ARGV  now, claim id, epoch and seq of the position (epoch '' and seq -1: none)
-- Returns {'not_owner', node, claim} | {'resumed', found, cursor, epoch of the cursor, head, last epoch, floor,
--   {from, to, reason, …} between the position and the cursor}
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then return { 'not_owner', '', '' } end
local seq = tonumber(ARGV[4])
local found = 'none'
if seq >= 0 then
  found = resolve(r, ARGV[3], seq)
  local _, merged = mergeAck(r, ARGV[3], seq, '', 0, '', 0)
  changed = changed or merged
end
if pruneRanges(r, now) then changed = true end
local owned = r[CLAIM] ~= '' and r[CLAIM] == ARGV[2]
-- What the device is told of here is on nobody's wire.
if owned and offWire(r, 1, r[CURSOR], true) then changed = true end
if changed then saveRecord(r) end
if not owned then return { 'not_owner', r[NODE], r[CLAIM] } end
local after = r[CURSOR]
if found == 'none' then after = 0 end
if found == 'valid' then after = seq end
return {
  'resumed', found, r[CURSOR], epochAt(r, r[CURSOR]), r[HEAD], lastEpoch(r), r[FLOOR], flatRanges(r, after, r[CURSOR]),
}
