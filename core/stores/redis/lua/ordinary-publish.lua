-- Publishes messages, one after another: into the queues of the stored sessions that subscribe, to the nodes that have a
-- subscriber, and among the retained messages. As many as one step may: at least the beginning of the first, if nothing that was
-- published before is still on its way.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  for each: topic, flags (QoS; 4: retained), payload, and if its packet id is to be noted as received: client,
--       connection, packet id (else three times '')
-- Returns {queue, retained, node: messages that were dropped; 1: something is on its way, the last of these too, so call again;
--         then for each that was begun 1, or 0: the client has another connection}
-- flags: none (refused when the memory is used up)
--@include ordinary
local reply = { 0, 0, 0, 0 }
local busy = not goOn()
for i = 1, #ARGV, 6 do
  if busy then break end
  local client, conn, packetId = ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local done, fresh = 1, true
  if client ~= '' then
    if not isOf(client, conn) then
      done, fresh = 0, false
    elseif redis.call('SISMEMBER', receivedKey(client), packetId) == 1 then
      keepSession(client)
      fresh = false
    end
  end
  if fresh then
    local a = audience(ARGV[i])
    if spent > 0 and spent + a.size > SETTINGS.ordinaryFanOut then break end
    if client ~= '' then
      keepSession(client)
      redis.call('SADD', receivedKey(client), packetId)
    end
    publishTo(a, ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2])
    busy = a.size > SETTINGS.ordinaryFanOut and isBusy()
  end
  reply[#reply + 1] = done
end
reply[1], reply[2], reply[3], reply[4] = drops.queue, drops.retained, drops.node, busy and 1 or 0
return reply
