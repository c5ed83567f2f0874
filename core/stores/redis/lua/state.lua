-- What became of one message.
-- KEYS  deviceKeys
-- ARGV  now, seq, epoch ('': any)
-- Returns {'no_device'} | {'gone'} | {state, epoch, at, expiresAt}; at -1: the message is not kept; expiresAt 0: never
--   state: handled, received, sent, queued, or the number of an exception's reason
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local r = lookAtDevice(timeOf(ARGV[1]))
if not r then return { 'no_device' } end
local seq = tonumber(ARGV[2])
if not isPlace(r, seq, ARGV[3]) then return { 'gone' } end
local at, expiresAt = -1, 0
if seq > r[CURSOR] then at, expiresAt = entryHead(entryAt(r, seq)) end
local function known(state)
  return { state, epochAt(r, seq), at, expiresAt }
end
local x = exceptionAt(r, seq)
if x then return known(tostring(x.reason)) end
if seq <= r[FLOOR] then return { 'gone' } end
if seq <= r[CURSOR] then return known('handled') end
if seq <= r[RECEIVED] then return known('received') end
return known(seq <= r[SENT] and 'sent' or 'queued')
