-- Sends retained messages to one client, each once.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  client, connection, the last change that it is told of, then for each: topic, granted QoS
-- Returns {queue, retained, node: messages that were dropped; 1, or 0: the client has another connection}
-- flags: none (refused when the memory is used up)
--@include ordinary
local client, conn, last = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not isOf(client, conn) then return { 0, 0, 0, 0 } end
for i = 4, #ARGV, 2 do
  local kept = redis.call('HGET', RETAINED, ARGV[i])
  if kept then
    local _, seq, qos = struct.unpack(RETAINED_HEAD, kept)
    if seq <= last then
      local out, payload = {}, string.sub(kept, 9)
      give(out, client, math.min(qos, tonumber(ARGV[i + 1])), ARGV[i], payload, true)
      send(out, qos, ARGV[i], payload)
    end
  end
end
return { drops.queue, drops.retained, drops.node, 1 }
