-- A step of QoS 2: a message that the client has received becomes a released one; or a packet id of the client is forgotten.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  client, connection, 'release' and the message's number, or 'forget' and the packet id
-- Returns 1; 0: the client has another connection
-- flags: allow-oom
--@include ordinary
local client, conn = ARGV[1], ARGV[2]
if not isOf(client, conn) then return 0 end
if ARGV[3] == 'forget' then
  redis.call('SREM', receivedKey(client), ARGV[4])
  return 1
end
local found = redis.call('ZRANGE', queueKey(client), ARGV[4], ARGV[4], 'BYSCORE')[1]
if found then
  redis.call('ZREM', queueKey(client), found)
  redis.call('ZADD', queueKey(client), ARGV[4], encode(tonumber(ARGV[4]), 2 + 8, '', ''))
  redis.call('HINCRBY', sessionKey(client), 'bytes', QUEUED_HEAD - #found)
end
return 1
