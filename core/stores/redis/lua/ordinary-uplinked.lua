-- A will is in the uplink.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  its id
-- Returns 1
-- flags: allow-oom
redis.call('HDEL', KEYS[1] .. ':uplink-wills', ARGV[1])
return 1
