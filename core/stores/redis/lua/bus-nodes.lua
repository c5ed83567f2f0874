-- The nodes that count as alive.
-- KEYS  as bus-join
-- ARGV  now
-- Returns their names
-- flags: no-writes
--@include clock
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. timeOf(ARGV[1]), '+inf')
