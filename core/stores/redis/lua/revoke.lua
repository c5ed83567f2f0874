-- Refuses a device's tokens up to a time; never moves it back.
-- KEYS  revocationKey
-- ARGV  now, at, keepUntil
-- Returns 1
-- flags: allow-oom
--@include clock
local now = timeOf(ARGV[1])
local at, keepUntil = tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('GET', KEYS[1])
if kept then
  local keptAt, keptUntil = string.match(kept, '^1 (%d+) (%d+)$')
  at, keepUntil = math.max(at, tonumber(keptAt)), math.max(keepUntil, tonumber(keptUntil))
end
redis.call('SET', KEYS[1], string.format('1 %.0f %.0f', at, keepUntil), 'PX', math.max(1, keepUntil - now + 60000))
return 1
