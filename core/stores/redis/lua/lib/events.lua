-- The log of events, or, where the log is on another slot, what waits to be brought there: a stream; an entry has one field:
-- u8 format, u8 code (core/model/event.ts), u48 at, u48 seq, u48 count, u8 length of the epoch, epoch, device.
-- Its key is the last one of every script on devices.
local K_EVENTS = KEYS[#KEYS]
local OFFLINE_EVENT, HANDLED_EVENT, EXPIRED_EVENT, RETENTION_EVENT, OVERFLOW_EVENT = 1, 2, 3, 4, 5

local function tell(r, code, seq, count)
  local epoch = epochAt(r, seq)
  local head = struct.pack('>BBI6I6I6B', SETTINGS.format, code, stepTime, seq, count, #epoch)
  local entry = head .. epoch .. string.sub(K_RECORD, 5, -2)
  if SETTINGS.outboxMax > 0 then
    redis.call('XADD', K_EVENTS, 'MAXLEN', '~', SETTINGS.outboxMax, '*', 'e', entry)
  else
    redis.call('XADD', K_EVENTS, '*', 'e', entry)
  end
end

-- Messages wait, and nobody is there to take them; told once until the next claim.
local function tellOffline(r)
  if r[CLAIM] ~= '' or r[PENDING] == 0 or r[TOLD_OFFLINE] ~= 0 then return end
  r[TOLD_OFFLINE] = stepTime
  tell(r, OFFLINE_EVENT, r[CURSOR] + 1, r[PENDING])
end
