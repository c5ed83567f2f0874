-- Publishes messages, one after another: into the queues of the stored sessions that subscribe, to the nodes that have a
-- subscriber, and among the retained messages.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  for each: topic, flags (QoS; 4: retained), payload, and if its packet id is to be noted as received: client,
--       connection, packet id (else three times '')
-- Returns {queue, retained, node: messages that were dropped; then for each 1: done, 0: the client has another connection}
-- flags: none (refused when the memory is used up)
--@include ordinary
local reply = { 0, 0, 0 }
for i = 1, #ARGV, 6 do
  local client, conn, packetId = ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local done, fresh = 1, true
  if client ~= '' then
    if isOf(client, conn) then
      keepSession(client)
      fresh = redis.call('SADD', receivedKey(client), packetId) == 1
    else
      done, fresh = 0, false
    end
  end
  if fresh then publish(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]) end
  reply[#reply + 1] = done
end
reply[1], reply[2], reply[3] = drops.queue, drops.retained, drops.node
return reply
