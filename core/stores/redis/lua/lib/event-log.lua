-- What the log of events (lib/events.lua) says of itself.
local K_LOG = KEYS[1]
local EVENT_HEAD = '>BBI6'

local function eventAt(raw)
  local _, _, at = struct.unpack(EVENT_HEAD, raw)
  return at
end

-- How many were ever added, how many there are, the last id that was given; 0, 0, '' where nothing was.
local function logInfo()
  if redis.call('EXISTS', K_LOG) == 0 then return 0, 0, '' end
  local info = redis.call('XINFO', 'STREAM', K_LOG)
  local added, length, last = 0, 0, ''
  for i = 1, #info, 2 do
    if info[i] == 'entries-added' then added = info[i + 1] end
    if info[i] == 'length' then length = info[i + 1] end
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  return added, length, last
end

-- Takes what is too old or too much from the front, of what is too old at most so many. How many were too much.
local function trimEvents(now, most)
  local from, count, minId = '-', 0, nil
  while count < most do
    local batch = redis.call('XRANGE', K_LOG, from, '+', 'COUNT', 20)
    local ended = #batch < 20
    for _, entry in ipairs(batch) do
      if now - eventAt(entry[2][2]) < SETTINGS.eventsRetentionMs then
        ended = true
        break
      end
      count = count + 1
      local ms, n = string.match(entry[1], '^(%d+)-(%d+)$')
      minId = string.format('%s-%.0f', ms, tonumber(n) + 1)
    end
    if ended then break end
    from = minId
  end
  if minId then redis.call('XTRIM', K_LOG, 'MINID', minId) end
  return redis.call('XTRIM', K_LOG, 'MAXLEN', SETTINGS.eventsMax)
end
