-- A dead node has left nothing.
-- KEYS  as claims-live
-- ARGV  node
-- Returns 1, or 0: it is none of the dead
-- flags: allow-oom
return redis.call('SREM', KEYS[2], ARGV[1])
