-- A node leaves, if the name is still its own.
-- KEYS  as bus-join
-- ARGV  node, id of the process's bus
-- Returns 1, or 0 (nothing changed)
-- flags: allow-oom
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
