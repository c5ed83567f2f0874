-- Takes subscriptions away: of a stored session, or of a node.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  node, client, connection ('' both: those of the node), then the filters
-- Returns 1; 0: the client has another connection
-- flags: allow-oom
--@include ordinary
local node, client, conn = ARGV[1], ARGV[2], ARGV[3]
if client ~= '' and not isOf(client, conn) then return 0 end
for i = 4, #ARGV do
  if client ~= '' then
    redis.call('HDEL', filtersKey(client), ARGV[i])
    removeFilter(ARGV[i], 'c' .. client)
  else
    redis.call('SREM', interestsKey(node), ARGV[i])
    removeFilter(ARGV[i], 'n' .. node)
  end
end
return 1
