-- Writes the progress of a webhook, and keeps its lease.
-- KEYS  cursors, parked, lease
-- ARGV  now, token, ms, how many logs, log and cursor of each, how many parked events, key and value of each, keys to take out …
-- Returns 1, or 0: the token is not that of the lease
-- flags: allow-oom
--@include clock
local now = timeOf(ARGV[1])
if redis.call('HGET', KEYS[3], 'token') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[3], 'until', now + ARGV[3])
local at = 5
local function pairsTo(key, count)
  for _ = 1, count do
    redis.call('HSET', key, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
end
pairsTo(KEYS[1], tonumber(ARGV[4]))
at = at + 1
pairsTo(KEYS[2], tonumber(ARGV[at - 1]))
for i = at, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return 1
