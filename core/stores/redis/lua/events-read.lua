-- A page of the log of events.
-- KEYS  log
-- ARGV  now, id and number of the last one that the reader has (id '': none), most events
-- Returns {dropped now, how many there are, missed, behind, id and number of `next` ('', 0: nothing was ever there),
--   id, number, entry, …}
-- flags: allow-oom
--@include clock
--@include event-log
local now = timeOf(ARGV[1])
local dropped = trimEvents(now, 500)
local added, length, last = logInfo()
local after, known = ARGV[2], tonumber(ARGV[3])
local oldest = added - length + 1
local batch = redis.call('XRANGE', K_LOG, after == '' and '-' or '(' .. after, '+', 'COUNT', ARGV[4])
local first = math.max(known + 1, oldest)
local upTo = first + #batch - 1
local reply = { dropped, length, after == '' and 0 or first - known - 1, math.max(0, added - upTo), after, known }
if #batch > 0 then
  reply[5], reply[6] = batch[#batch][1], upTo
elseif added > known then
  reply[5], reply[6] = last, added
end
for i, entry in ipairs(batch) do
  local raw = entry[2][2]
  if now - eventAt(raw) < SETTINGS.eventsRetentionMs then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = entry[1], first + i - 1, raw
  end
end
return reply
