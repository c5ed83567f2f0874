-- Takes what is too old or too much out of the log of events.
-- KEYS  log
-- ARGV  now
-- Returns {dropped now, how many there are, id and number of the last one ('', 0: nothing was ever there)}
-- flags: allow-oom
--@include clock
--@include event-log
local dropped = trimEvents(timeOf(ARGV[1]), 2000)
local added, length, last = logInfo()
return { dropped, length, last, added }
