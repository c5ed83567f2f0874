-- Nodes say that they live, and their process asks what there is to do for dead ones.
-- KEYS  nodes, dead nodes, who looks after them
-- ARGV  ms that a node counts as alive, what time the caller thinks it is if it may declare nodes dead (else 0), id of the
--       process, ms for which it looks after them, names of its nodes
-- Returns {now, 1 it looks after dead nodes, or 0 another process does, dead nodes …}
-- flags: allow-oom
--@include clock
local now = timeOf('')
local lease, expected = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 5, #ARGV do
  redis.call('ZADD', KEYS[1], now + lease, ARGV[i])
  -- It was taken for dead, and is not: what was not ended yet is its own.
  redis.call('SREM', KEYS[2], ARGV[i])
end
local caretaker = redis.call('GET', KEYS[3])
if caretaker and caretaker ~= ARGV[3] then return { now, 0 } end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
-- A call that was held up on its way, with Redis frozen, knows nothing of what the others could do meanwhile.
if expected > 0 and math.abs(now - expected) < lease / 4 then
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[1], node)
    redis.call('SADD', KEYS[2], node)
  end
end
return { now, 1, unpack(redis.call('SRANDMEMBER', KEYS[2], 100)) }
