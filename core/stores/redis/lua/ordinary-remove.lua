-- Takes acknowledged messages out of queues.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  for each session: client, connection, how many numbers follow, the numbers
-- Returns 1
-- flags: allow-oom
--@include ordinary
local i = 1
while i <= #ARGV do
  local client, conn, n = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  if isOf(client, conn) then
    local removed, bytes = 0, 0
    for j = i + 3, i + 2 + n do
      local found = redis.call('ZRANGE', queueKey(client), ARGV[j], ARGV[j], 'BYSCORE')[1]
      if found then
        redis.call('ZREM', queueKey(client), found)
        removed, bytes = removed + 1, bytes + #found - QUEUED_HEAD
      end
    end
    if removed > 0 then
      redis.call('HINCRBY', sessionKey(client), 'count', 0 - removed)
      redis.call('HINCRBY', sessionKey(client), 'bytes', 0 - bytes) -- `-bytes` would be `-0`
    end
  end
  i = i + 3 + n
end
return 1
