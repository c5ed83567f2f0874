-- Which devices a node has claims of, so that they are found when it is dead: a hash for each node and shard of devices
-- (keys.ts), in the slot of the devices. Written in one step with the claim. Small ones are packed by Redis, larger are not.
local function noteClaim(prefix, node)
  redis.call('HSET', prefix .. node, string.sub(K_RECORD, 5, -2), '')
end

local function forgetClaim(prefix, node)
  if node ~= '' then redis.call('HDEL', prefix .. node, string.sub(K_RECORD, 5, -2)) end
end

local function endClaim(r, now, prefix)
  forgetClaim(prefix, r[NODE])
  r[NODE], r[CLAIM], r[CONNECTED] = '', '', 0
  r[SEEN], r[USED] = now, now
  tellOffline(r)
end
