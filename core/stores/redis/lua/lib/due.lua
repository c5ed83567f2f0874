-- Which devices that are not connected have something to expire, and when: a sorted set for each shard of devices (keys.ts), in
-- the slot of the devices. A place in it is a promise to look, so it may be too early, and is not taken away when messages are.
-- Connected devices are looked at by the sweep of their node.
local function noteDue(r, shard)
  if r[CLAIM] ~= '' or r[PENDING] == 0 then return end
  if r[NOTED_DUE] ~= 0 and r[NOTED_DUE] <= r[DUE] then return end
  r[NOTED_DUE] = r[DUE]
  redis.call('ZADD', 'pr-due:{' .. shard .. '}', r[DUE], string.sub(K_RECORD, 5, -2))
end
