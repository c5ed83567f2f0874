-- Takes what has expired out of the log.
-- KEYS  log, state
-- ARGV  now
-- Returns {count, bytes of the log}
-- flags: allow-oom
--@include clock
--@include uplink
trim(timeOf(ARGV[1]), 2000)
local count, bytes = usage()
return { count, bytes }
