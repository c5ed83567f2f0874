-- Makes a device that a migration brought: its record, when everything else of it is there.
-- KEYS  deviceKeys
-- ARGV  now, then 22 fields of the record in the order in which they are used below, shard, then epochs: epoch, first seq, …
-- Returns 1
-- flags: none (refused when the memory is used up)
--@include clock
--@include record
--@include due
local now = timeOf(ARGV[1])
local n = {}
for i = 2, 21 do n[i] = tonumber(ARGV[i]) end
local epochs = {}
for i = 25, #ARGV, 2 do
  epochs[#epochs + 1] = ARGV[i]
  epochs[#epochs + 1] = tonumber(ARGV[i + 1])
end
local kept = now + SETTINGS.retentionMs
local r = {
  SETTINGS.format, n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12],
  0, n[13], kept, n[14], n[15], kept, n[16], 1, 0, n[17],
  ARGV[22], epochs, '', '', 0, ARGV[23], 1, 0, 0, n[18], n[19], 0,
}
for _, key in ipairs({ K_MESSAGES, K_EXCEPTIONS, K_EXPIRIES }) do redis.call('PEXPIRE', key, SETTINGS.retentionMs + GRACE) end
if n[17] >= 0 then
  local key = n[17] % 2 == 0 and K_DEDUP_EVEN or K_DEDUP_ODD
  redis.call('PEXPIRE', key, math.max(1, (n[17] + 2) * SETTINGS.dedupMs - now))
end
noteDue(r, ARGV[24])
saveRecord(r)
return 1
