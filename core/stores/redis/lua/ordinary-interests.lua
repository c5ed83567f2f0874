-- The filters of a node move to its new name, all in one step, so that no message goes to both or to neither.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  old name, new name, the filters
-- Returns 1
-- flags: none (refused when the memory is used up)
--@include ordinary
local old, new = ARGV[1], ARGV[2]
for i = 3, #ARGV do
  redis.call('SADD', interestsKey(new), ARGV[i])
  addFilter(ARGV[i], 'n' .. new, 1)
end
if old ~= new then
  for _, filter in ipairs(redis.call('SMEMBERS', interestsKey(old))) do removeFilter(filter, 'n' .. old) end
  redis.call('DEL', interestsKey(old))
end
return 1
