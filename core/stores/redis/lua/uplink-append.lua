-- Appends uplinks of one or more calls.
-- KEYS  log, state, a key for each dedup id that is asked about
-- ARGV  now, then for each uplink: number of its call, device, which of KEYS is its dedup id's (0: none), hash of the body
--       (16 bytes), size, entry
-- Returns {count, bytes of the log, then for each: code, id, at}; codes: 0 stored, 1 duplicate, 2 full, 3 dedup_conflict
-- flags: none (refused when the memory is used up)
--@include clock
--@include uplink
local now = timeOf(ARGV[1])
trim(now, 500)
local count, bytes = usage()
local lastMs, lastN = idParts(redis.call('HGET', K_STATE, 'last') or '0-0')
local added, grown = 0, 0
local refused = {}
local reply = { 0, 0 }

for i = 2, #ARGV, 6 do
  local lane = ARGV[i] .. ' ' .. ARGV[i + 1]
  local dedupKey, hash, size = KEYS[tonumber(ARGV[i + 2])], ARGV[i + 3], tonumber(ARGV[i + 4])
  local code, id, at = 0, '', now
  local kept = dedupKey and redis.call('GET', dedupKey)
  if kept then
    local keptAt = struct.unpack('>I6', kept, 17)
    if now - keptAt < SETTINGS.uplinkDedupMs then
      code = string.sub(kept, 1, 16) == hash and 1 or 3
      id, at = string.sub(kept, 23), keptAt
    end
  end
  if refused[lane] then
    code, id = 2, ''
  elseif code == 0 and bytes + grown + size > SETTINGS.uplinkMaxBytes then
    code = 2
    refused[lane] = true
  elseif code == 0 then
    if now > lastMs then lastMs, lastN = now, 0 else lastN = lastN + 1 end
    id = string.format('%.0f-%.0f', lastMs, lastN)
    redis.call('XADD', K_LOG, id, 'v', struct.pack(UPLINK, SETTINGS.format, now, size) .. ARGV[i + 5])
    if dedupKey then redis.call('SET', dedupKey, hash .. struct.pack('>I6', now) .. id, 'PX', SETTINGS.uplinkDedupMs) end
    added, grown = added + 1, grown + size
  end
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = code, id, at
end

if added > 0 then
  redis.call('HSET', K_STATE, 'last', string.format('%.0f-%.0f', lastMs, lastN), 'n', count + added, 'b', bytes + grown)
end
reply[1], reply[2] = count + added, bytes + grown
return reply
