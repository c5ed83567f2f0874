-- Removes a webhook, its progress and its lease.
-- KEYS  webhooks, cursors, parked, lease
-- ARGV  id
-- Returns 1, or 0: there was none
-- flags: allow-oom
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
return redis.call('HDEL', KEYS[1], ARGV[1])
