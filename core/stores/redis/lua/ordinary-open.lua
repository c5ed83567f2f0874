-- A client has connected: takes its session up or ends it, ends its other connection, whose will is published, and keeps its will.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  node, client, connection, 1: clean session, 1: it may use ordinary topics or has a will, the will or ''
-- Returns 0: the node is not known; else {kept, next, count, bytes, sent, {filter, subscription …}, {received packet ids}}
-- flags: none (refused when the memory is used up)
--@include ordinary
local node, client, conn, clean, uses, will = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5] == '1', ARGV[6]
if not alive(node) then return 0 end
local key = sessionKey(client)
local s = redis.call('HMGET', key, 'kept', 'node', 'conn')
local kept, before = s[1], s[2]
if s[3] and before then
  kick(client, before, s[3])
  takeWill(before, client, s[3], true)
  redis.call('SREM', ownKey(before), client)
  -- It did not say how much it has sent.
  if kept then redis.call('HSET', key, 'sent', tonumber(redis.call('HGET', key, 'next') or '1') - 1) end
  redis.call('HDEL', key, 'node', 'conn')
end
if clean and kept then
  dropSession(client)
  kept = false
end
if not (kept or uses) then return { 0, 1, 0, 0, 0, {}, {} } end
redis.call('HSET', key, 'node', node, 'conn', conn)
if not kept then redis.call('SADD', ownKey(node), client) else redis.call('ZADD', SESSIONS, nowMs(), client) end
if will ~= '' then redis.call('HSET', willsKey(node), client, conn .. ' ' .. will) end
local numbers = redis.call('HMGET', key, 'next', 'count', 'bytes', 'sent')
return {
  kept and 1 or 0,
  tonumber(numbers[1] or '1'), tonumber(numbers[2] or '0'), tonumber(numbers[3] or '0'), tonumber(numbers[4] or '0'),
  redis.call('HGETALL', filtersKey(client)), redis.call('SMEMBERS', receivedKey(client)),
}
