-- Applies changes of sessions, retained messages and wills as one step: plain commands, each on one of KEYS.
-- KEYS  all keys that are changed
-- ARGV  for each command: its name, which of KEYS, how many arguments follow, the arguments
-- Returns 1
-- flags: none (refused when the memory is used up)
local ALLOWED = {
  hset = true, hsetnx = true, hdel = true, hincrby = true, sadd = true, srem = true, zadd = true, zremrangebyscore = true,
  unlink = true,
}
local i = 1
while i <= #ARGV do
  local name, key, count = ARGV[i], KEYS[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 2])
  if not ALLOWED[name] then error({ err = 'ERR not a command of a session: ' .. name }) end
  redis.call(name, key, unpack(ARGV, i + 3, i + 2 + count))
  i = i + 3 + count
end
return 1
