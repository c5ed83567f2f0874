-- A connection has ended: its will is published or forgotten, a session that is not empty stays.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  node, client, connection, number up to which messages were sent, 1: the will is published
-- Returns {queue, retained, node}: messages that were dropped
-- flags: allow-oom
--@include ordinary
local node, client, conn, sent, publishes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
takeWill(node, client, conn, publishes)
local key = sessionKey(client)
local s = redis.call('HMGET', key, 'conn', 'kept', 'count')
if s[1] == conn then
  redis.call('SREM', ownKey(node), client)
  local waits = tonumber(s[3] or '0') > 0 or redis.call('EXISTS', filtersKey(client), receivedKey(client)) > 0
  if s[2] and waits then
    redis.call('HSET', key, 'sent', sent)
    redis.call('HDEL', key, 'node', 'conn')
    redis.call('ZADD', SESSIONS, nowMs(), client)
  else
    if s[2] then dropSession(client) end
    redis.call('DEL', key)
  end
end
return { drops.queue, drops.retained, drops.node }
