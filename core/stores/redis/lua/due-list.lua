-- Devices of a shard whose time has come.
-- KEYS  sorted set of the shard
-- ARGV  now, how many to leave out, most
-- Returns their ids
-- flags: no-writes
--@include clock
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', timeOf(ARGV[1]), 'LIMIT', ARGV[2], ARGV[3])
