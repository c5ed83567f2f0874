-- A node says that it lives; and does a part of what is left to do of those that do not, and of sessions that nobody uses.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  node, what: 'join', 'renew', 'leave' (with it the node is a dead one); what time the caller thinks it is if it may
--       declare others dead, else 0; 1: it clears up
-- Returns {1, or 0: the node is not known any more; 1: there is more to do; stored sessions, retained messages, their bytes;
--         sessions that were ended because nobody used them; {wills to uplink: id, message}; dropped: queue, retained, node; now}
-- flags: allow-oom
--@include ordinary
local PAGE = 100
local node, what, expected, clears = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local now = nowMs()
-- A call that was held up on its way, with Redis frozen, knows nothing of what the others could do meanwhile.
local declares = expected > 0 and now - expected < SETTINGS.ordinaryLeaseMs / 4
local known = redis.call('ZSCORE', NODES, node) and true or what == 'join'
if what == 'leave' then
  redis.call('ZREM', NODES, node)
  redis.call('SADD', DEAD, node)
elseif known then
  redis.call('ZADD', NODES, now + SETTINGS.ordinaryLeaseMs, node)
end
if declares then
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', NODES, '-inf', now)) do
    redis.call('ZREM', NODES, dead)
    redis.call('SADD', DEAD, dead)
  end
end

local more, expired, uplinks = 0, 0, {}
if clears then
  goOn()
  local dead = redis.call('SRANDMEMBER', DEAD)
  if dead then
    more = 1
    local wills = redis.call('HSCAN', willsKey(dead), '0', 'COUNT', PAGE)[2]
    for i = 1, math.min(#wills, 2 * PAGE), 2 do takeWill(dead, wills[i], nil, true) end
    local clients = redis.call('SPOP', ownKey(dead), PAGE)
    for _, client in ipairs(clients) do
      local s = redis.call('HMGET', sessionKey(client), 'node', 'kept')
      if s[1] == dead and not s[2] then redis.call('DEL', sessionKey(client)) end
    end
    local filters = redis.call('SPOP', interestsKey(dead), PAGE)
    for _, filter in ipairs(filters) do removeFilter(filter, 'n' .. dead) end
    if #wills == 0 and #clients == 0 and #filters == 0 then
      redis.call('UNLINK', streamKey(dead), backlogKey(dead))
      redis.call('SREM', DEAD, dead)
    end
  end
  local idle = redis.call('ZRANGEBYSCORE', SESSIONS, '-inf', now - SETTINGS.idleMs, 'LIMIT', 0, PAGE)
  for _, client in ipairs(idle) do
    if alive(redis.call('HGET', sessionKey(client), 'node')) then
      redis.call('ZADD', SESSIONS, now, client)
    else
      dropSession(client)
      redis.call('DEL', sessionKey(client))
      expired = expired + 1
    end
  end
  -- Wills to uplink that nobody has stored there yet, or not said so in time.
  local waiting = redis.call('HSCAN', UPLINK_WILLS, '0', 'COUNT', PAGE)[2]
  for i = 1, #waiting, 2 do
    if now - struct.unpack('>I6', waiting[i + 1]) > 15000 then
      local body = string.sub(waiting[i + 1], 7)
      redis.call('HSET', UPLINK_WILLS, waiting[i], struct.pack('>I6', now) .. body)
      uplinks[#uplinks + 1] = waiting[i]
      uplinks[#uplinks + 1] = body
    end
  end
end
if clears and isBusy() then more = 1 end
return {
  known and 1 or 0, more, redis.call('ZCARD', SESSIONS), redis.call('HLEN', RETAINED),
  tonumber(redis.call('HGET', STATE, 'retained') or '0'), expired, uplinks, drops.queue, drops.retained, drops.node,
  now,
}
