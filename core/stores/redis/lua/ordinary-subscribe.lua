-- Adds or replaces subscriptions: of a stored session, or of a node for its other clients.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  node, client, connection, 1: the session is stored, then for each: filter, QoS, the subscription as it is stored
-- Returns -1: the client has another connection; -2: the node is not known; else up to which change of retained messages the
--         subscriber has to be told of them: later ones come as they are published
-- flags: none (refused when the memory is used up)
--@include ordinary
local node, client, conn, stored = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
if not alive(node) then return -2 end
if not isOf(client, conn) then return -1 end
if stored then keepSession(client) end
for i = 5, #ARGV, 3 do
  if stored then
    redis.call('HSET', filtersKey(client), ARGV[i], ARGV[i + 2])
    addFilter(ARGV[i], 'c' .. client, ARGV[i + 1])
  else
    redis.call('SADD', interestsKey(node), ARGV[i])
    addFilter(ARGV[i], 'n' .. node, 1)
  end
end
return tonumber(redis.call('HGET', STATE, 'seq') or '0')
