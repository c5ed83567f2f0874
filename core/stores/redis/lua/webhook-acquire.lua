-- Gives the lease of a webhook.
-- KEYS  webhooks, cursors, parked, lease, counter of tokens
-- ARGV  now, id, node, ms
-- Returns nil (another node has it, or there is no such webhook) | {token, {log, cursor, …}, {key, value, …}}
-- flags: allow-oom
--@include clock
local now = timeOf(ARGV[1])
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return nil end
local lease = redis.call('HMGET', KEYS[4], 'node', 'until')
if lease[1] and lease[1] ~= ARGV[3] and tonumber(lease[2]) > now then return nil end
local token = redis.call('INCR', KEYS[5])
redis.call('HSET', KEYS[4], 'node', ARGV[3], 'token', token, 'until', now + ARGV[4])
return { token, redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]) }
