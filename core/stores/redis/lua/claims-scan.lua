-- Which of these keys of one server are there.
-- KEYS  any one of them, by which the server is found
-- ARGV  all of them
-- Returns the places of those in ARGV
-- flags: no-writes, allow-cross-slot-keys (they are all of this server, and only looked at)
local found = {}
for i, key in ipairs(ARGV) do
  if redis.call('EXISTS', key) == 1 then found[#found + 1] = i end
end
return found
