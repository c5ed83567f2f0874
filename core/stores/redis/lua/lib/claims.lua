-- Which devices a node has claims of, so that they are found when it is dead: a hash for each node and shard of devices
-- (keys.ts), in the slot of the devices. Written in one step with the claim. Small ones are packed by Redis, larger are not.
--@include due
local function claimsOf(node, shard) return 'pr-claims:{' .. shard .. '}:' .. node end

local function noteClaim(node, shard)
  redis.call('HSET', claimsOf(node, shard), string.sub(K_RECORD, 5, -2), '')
end

local function forgetClaim(node, shard)
  if node ~= '' then redis.call('HDEL', claimsOf(node, shard), string.sub(K_RECORD, 5, -2)) end
end

local function endClaim(r, now, shard)
  forgetClaim(r[NODE], shard)
  r[NODE], r[CLAIM], r[CONNECTED] = '', '', 0
  r[SEEN], r[USED] = now, now
  tellOffline(r)
  noteDue(r, shard)
end
