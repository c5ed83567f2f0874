-- Brings events of other slots into the log, each once: what the last batch of a slot brought may come again, as long as nobody
-- has said that it was taken out there.
-- KEYS  log, hash slot → ids of its last batch, who may bring events
-- ARGV  who brings, slot, then id and entry of each event of the batch, in order
-- Returns 1, or 0: another one may
-- flags: allow-oom
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
local before = {}
for id in string.gmatch(redis.call('HGET', KEYS[2], ARGV[2]) or '', '%S+') do before[id] = true end
local ids = {}
for i = 3, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
  if not before[ARGV[i]] then redis.call('XADD', KEYS[1], '*', 'e', ARGV[i + 1]) end
end
redis.call('HSET', KEYS[2], ARGV[2], table.concat(ids, ' '))
return 1
