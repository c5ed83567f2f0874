-- In which of these sorted sets of one server somebody's time has come.
-- KEYS  any one of them, by which the server is found
-- ARGV  now, all of them
-- Returns the places of those in ARGV, from 1 behind `now`
-- flags: no-writes, allow-cross-slot-keys (they are all of this server, and only looked at)
--@include clock
local now = timeOf(ARGV[1])
local found = {}
for i = 2, #ARGV do
  if #redis.call('ZRANGEBYSCORE', ARGV[i], '-inf', now, 'LIMIT', 0, 1) > 0 then found[#found + 1] = i - 1 end
end
return found
