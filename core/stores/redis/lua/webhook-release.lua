-- Ends the lease of a webhook, if it is the present one.
-- KEYS  lease
-- ARGV  token
-- Returns 1, or 0 (nothing changed)
-- flags: allow-oom
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
