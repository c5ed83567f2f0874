-- Nodes of a process that ends are dead from now on. If one lives after all it says so again.
-- KEYS  as claims-live
-- ARGV  id of the process, names of its nodes
-- Returns 1
-- flags: allow-oom
if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
for i = 2, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[i])
  redis.call('SADD', KEYS[2], ARGV[i])
end
return 1
