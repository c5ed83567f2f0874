-- Waiting messages, for a look.
-- KEYS  deviceKeys
-- ARGV  now, after which seq, most messages, most bytes
-- Returns nil (no device) | {more, {epoch, first seq, …}, {seq, entry, …}}
-- flags: allow-oom
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
local CHUNK = 16
local r = lookAtDevice(timeOf(ARGV[1]))
if not r then return nil end
local limit, maxBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local entries, messages, bytes, more = {}, 0, 0, 0
local last = math.max(tonumber(ARGV[2]), r[CURSOR])
local chunk, chunkFrom = {}, 1

local function take(upTo)
  while last < upTo do
    local seq = last + 1
    if messages >= limit then
      more = 1
      return false
    end
    local raw = chunk[seq - chunkFrom + 1]
    if not raw then
      local first = seq - r[CURSOR] - 1
      chunk, chunkFrom = redis.call('LRANGE', K_MESSAGES, first, first + CHUNK - 1), seq
      raw = chunk[1]
    end
    local _, _, _, size = entryHead(raw)
    if messages > 0 and bytes + size > maxBytes then
      more = 1
      return false
    end
    entries[#entries + 1], entries[#entries + 2] = seq, raw
    messages, bytes, last = messages + 1, bytes + size, seq
  end
  return true
end

local room = true
eachRange(r, last + 1, function(x)
  room = take(x.from - 1)
  if x.to > last then last = x.to end
  return not room
end)
if room then take(r[HEAD]) end
return { more, r[EPOCHS], entries }
