-- The log of all devices' uplink: a stream whose ids never go back, also when the clock does. An entry has one field:
-- u8 format, u48 at, u32 size, then what the driver knows. The state beside it: n entries of b bytes, the last id given.
local K_LOG, K_STATE = KEYS[1], KEYS[2]
local UPLINK = '>BI6I4'

local function uplinkHead(raw)
  local _, at, size = struct.unpack(UPLINK, raw)
  return at, size
end

local function idParts(id)
  local ms, n = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(n)
end

-- Takes what has expired from the front, at most so many.
local function trim(now, most)
  local count, bytes, minId = 0, 0, nil
  local from = '-'
  while count < most do
    local batch = redis.call('XRANGE', K_LOG, from, '+', 'COUNT', 20)
    local ended = #batch < 20
    for _, entry in ipairs(batch) do
      local at, size = uplinkHead(entry[2][2])
      if now - at < SETTINGS.uplinkRetentionMs then
        ended = true
        break
      end
      count, bytes = count + 1, bytes + size
      local ms, n = idParts(entry[1])
      minId = string.format('%.0f-%.0f', ms, n + 1)
    end
    if ended or not minId then break end
    from = minId
  end
  if count == 0 then return end
  redis.call('XTRIM', K_LOG, 'MINID', minId)
  redis.call('HINCRBY', K_STATE, 'n', -count)
  redis.call('HINCRBY', K_STATE, 'b', -bytes)
end

-- How many entries, how many bytes.
local function usage()
  local state = redis.call('HMGET', K_STATE, 'n', 'b')
  return tonumber(state[1] or 0), tonumber(state[2] or 0)
end
