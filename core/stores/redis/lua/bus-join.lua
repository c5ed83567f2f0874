-- A node says that it lives: when it joins, and again and again while it does. Forgets nodes that said nothing for too long.
-- KEYS  zset: node, score is the time until which it counts as alive; hash: node → who it is
-- ARGV  now, node, id of the process's bus, for how many milliseconds
-- Returns 1, or 0: a live node of another process has the name
-- flags: allow-oom
--@include clock
local now = timeOf(ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[2], unpack(gone))
end
local owner = redis.call('HGET', KEYS[2], ARGV[2])
if owner and owner ~= ARGV[3] then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
