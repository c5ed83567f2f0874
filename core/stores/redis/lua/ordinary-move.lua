-- A node goes on under another name (or the same, when it only asks): its connections move with what belongs to them.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  old name, new name, then for each: client, connection, 1: it has a will
-- Returns for each -1: the connection is not that client's any more, or its will was published; else the number that the
--         next message of its queue gets
-- flags: allow-oom
--@include ordinary
local old, new = ARGV[1], ARGV[2]
local reply = {}
for i = 3, #ARGV, 3 do
  local client, conn = ARGV[i], ARGV[i + 1]
  local s = redis.call('HMGET', sessionKey(client), 'conn', 'kept', 'next', 'node')
  local at = s[4]
  local isThere = s[1] == conn and (at == old or at == new)
  local will = isThere and ARGV[i + 2] == '1' and redis.call('HGET', willsKey(at), client)
  if isThere and ARGV[i + 2] == '1' then
    isThere = will and string.sub(will, 1, #conn + 1) == conn .. ' ' or false
  end
  if isThere and at ~= new then
    redis.call('HSET', sessionKey(client), 'node', new)
    if not s[2] then
      redis.call('SREM', ownKey(old), client)
      redis.call('SADD', ownKey(new), client)
    end
    if will then
      redis.call('HDEL', willsKey(old), client)
      redis.call('HSET', willsKey(new), client, will)
    end
  end
  reply[#reply + 1] = isThere and tonumber(s[3] or '1') or -1
end
return reply
