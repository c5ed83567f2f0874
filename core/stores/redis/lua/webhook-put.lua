-- Makes a webhook, or replaces it.
-- KEYS  webhooks, cursors
-- ARGV  id, record, record that must be stored ('': none), then log and cursor of each new one
-- Returns 1, or 0: another one is stored
-- flags: none
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
