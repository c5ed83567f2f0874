-- Reads a page for delivery, for whom the stored claim says.
-- KEYS  deviceKeys
-- ARGV  now, claim id, epoch and seq of the position, most messages, most bytes
-- Returns {'not_owner', node, claim} | {'diverged'} |
--   {'page', last seq covered, cursor, head, up to where it may have been sent, {epoch, first seq, …}, {from, to, reason, …}, {seq, entry, …}}
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local CHUNK = 16
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then return { 'not_owner', '', '' } end
local function done(reply)
  if changed then saveRecord(r) end
  return reply
end
if r[CLAIM] == '' or r[CLAIM] ~= ARGV[2] then return done({ 'not_owner', r[NODE], r[CLAIM] }) end
local after = tonumber(ARGV[4])
if resolve(r, ARGV[3], after) ~= 'valid' then return done({ 'diverged' }) end

local maxMessages, maxBytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local entries, messages, bytes = {}, 0, 0
local chunk, chunkFrom = {}, 1
local last = after

-- Takes waiting messages up to `upTo`; false: the page is full.
local function take(upTo)
  while last < upTo do
    local seq = last + 1
    local raw = chunk[seq - chunkFrom + 1]
    if not raw then
      local first = seq - r[CURSOR] - 1
      chunk, chunkFrom = redis.call('LRANGE', K_MESSAGES, first, first + CHUNK - 1), seq
      raw = chunk[1]
    end
    local _, _, _, size = entryHead(raw)
    if messages > 0 and (messages >= maxMessages or bytes + size > maxBytes) then return false end
    entries[#entries + 1], entries[#entries + 2] = seq, raw
    messages, bytes, last = messages + 1, bytes + size, seq
  end
  return true
end

-- What the cursor has passed is handled or an exception.
local function upToRange(seq)
  if last < r[CURSOR] then last = math.min(seq, r[CURSOR]) end
  return take(seq)
end

local room = true
eachRange(r, after + 1, function(x)
  room = upToRange(x.from - 1)
  if room then last = x.to end
  return not room
end)
if room then upToRange(r[HEAD]) end
if offWire(r, after + 1, last, true) then changed = true end
return done({
  'page', last, r[CURSOR], r[HEAD], math.max(r[SENT], r[MAYBE_SENT]), r[EPOCHS], flatRanges(r, after, last), entries,
})
