-- A page of the log.
-- KEYS  log, state
-- ARGV  now, id of the last one that the reader has ('': none), most uplinks, most bytes
-- Returns {more (1 or 0), id, entry, …}
-- flags: allow-oom
--@include clock
--@include uplink
local now = timeOf(ARGV[1])
local limit, maxBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
trim(now, 500)
local from = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local reply, bytes, count = { 0 }, 0, 0
while true do
  local batch = redis.call('XRANGE', K_LOG, from, '+', 'COUNT', 50)
  for _, entry in ipairs(batch) do
    local raw = entry[2][2]
    local at, size = uplinkHead(raw)
    if now - at < SETTINGS.uplinkRetentionMs then
      if count >= limit or (count > 0 and bytes + size > maxBytes) then
        reply[1] = 1
        return reply
      end
      count, bytes = count + 1, bytes + size
      reply[#reply + 1] = entry[1]
      reply[#reply + 1] = raw
    end
    from = '(' .. entry[1]
  end
  if #batch < 50 then return reply end
end
