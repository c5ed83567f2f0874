-- A node has read its stream up to an entry.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  node, the id behind the last one that it read, how many bytes they were, 1: it knows that it missed some
-- Returns 1
-- flags: allow-oom
--@include ordinary
redis.call('XTRIM', streamKey(ARGV[1]), 'MINID', ARGV[2])
if redis.call('EXISTS', backlogKey(ARGV[1])) == 1 then
  if redis.call('HINCRBY', backlogKey(ARGV[1]), 'bytes', 0 - tonumber(ARGV[3])) < 0 then
    redis.call('HSET', backlogKey(ARGV[1]), 'bytes', 0)
  end
  if ARGV[4] == '1' then redis.call('HDEL', backlogKey(ARGV[1]), 'gap') end
end
return 1
