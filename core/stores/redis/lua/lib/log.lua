-- The log: a list of the messages cursor + 1 … head, so that the message at `seq` stands at the index seq - cursor - 1.
-- An entry: u8 format, u48 at, u48 expiresAt (0: never), u48 weight of the log up to it, u32 size, then what the driver knows.
-- Of one that became an exception only this head is left, so that the others keep their places.
--@include events
local ENTRY = '>BI6I6I6I4'
local ENTRY_HEAD = 23
-- In the flags behind it (message-codec.ts).
local RECEIPT = 8

-- at, expiresAt, weight, size
local function entryHead(raw)
  local _, at, expiresAt, weight, size = struct.unpack(ENTRY, raw)
  return at, expiresAt, weight, size
end

local function entryAt(r, seq)
  return redis.call('LINDEX', K_MESSAGES, seq - r[CURSOR] - 1)
end

local function forgetExpiries(r, from, to)
  if r[EXPIRIES] == 0 then return end
  for first = from, to, 1000 do
    local seqs = {}
    for seq = first, math.min(first + 999, to) do seqs[#seqs + 1] = seq end
    r[EXPIRIES] = r[EXPIRIES] - redis.call('ZREM', K_EXPIRIES, unpack(seqs))
  end
end

-- Where what the driver knows begins: a newer format has additions before it (formats.ts).
local function bodyAt(raw)
  if string.byte(raw, 1) == 1 or #raw < ENTRY_HEAD + 4 then return ENTRY_HEAD + 1 end
  return ENTRY_HEAD + 5 + struct.unpack('>I4', raw, ENTRY_HEAD + 1)
end

local function wantsReceipt(body, at)
  local flags = string.byte(body, at)
  return flags ~= nil and math.floor(flags / RECEIPT) % 2 == 1
end

-- The messages with a receipt that the cursor passes on its way to `upTo`. Of exceptions only the head is left.
local function tellHandled(r, upTo)
  local to = math.min(upTo, r[RECEIPTS_UP_TO])
  for from = r[CURSOR] + 1, to, 16 do
    local first = from - r[CURSOR] - 1
    local raws = redis.call('LRANGE', K_MESSAGES, first, math.min(first + 15, to - r[CURSOR] - 1))
    for i, raw in ipairs(raws) do
      if wantsReceipt(raw, bodyAt(raw)) then tell(r, HANDLED_EVENT, from + i - 1, 1) end
    end
  end
end

-- Moves the cursor to `to`, where no exception follows; what it passes leaves.
local function passTo(r, to)
  local cursor = r[CURSOR]
  if to <= cursor then return end
  local weight = to == r[HEAD] and r[HEAD_WEIGHT] or nil
  local count, bytes = 0, 0
  eachRange(r, cursor + 1, function(x)
    if x.from > to then return true end
    count = count + x.to - x.from + 1
    bytes = bytes + x.bytes
    if x.to == to then weight = weight or x.weight end
    return false
  end)
  if not weight then
    local _, _, found = entryHead(entryAt(r, to))
    weight = found
  end
  r[PENDING] = r[PENDING] - (to - cursor - count)
  outcome(HANDLED, to - cursor - count)
  r[PENDING_BYTES] = r[PENDING_BYTES] - (weight - r[CURSOR_WEIGHT] - bytes)
  redis.call('LTRIM', K_MESSAGES, to - cursor, -1)
  forgetExpiries(r, cursor + 1, to)
  r[CURSOR] = to
  r[CURSOR_WEIGHT] = weight
end

-- Makes the waiting message at `seq`, whose entry is `raw`, an exception.
local function except(r, seq, raw, reason, now)
  if reason == EXPIRED then tell(r, EXPIRED_EVENT, seq, 1) end
  if reason == RETENTION then tell(r, RETENTION_EVENT, seq, 1) end
  if reason == OVERFLOW then tell(r, OVERFLOW_EVENT, seq, 1) end
  local at, expiresAt, weight, size = entryHead(raw)
  local wire = 0
  if r[CLAIM] ~= '' or seq <= r[SENT] then
    wire = r[WIRE]
    if r[WIRE_FROM] == 0 or seq < r[WIRE_FROM] then r[WIRE_FROM] = seq end
  end
  addRange(r, { from = seq, to = seq, reason = reason, at = now, bytes = size, weight = weight, wire = wire }, now)
  outcome(UNDELIVERED + reason, 1)
  r[PENDING] = r[PENDING] - 1
  r[PENDING_BYTES] = r[PENDING_BYTES] - size
  if seq == r[CURSOR] + 1 then
    local to = overExceptions(r, r[CURSOR])
    local passed = exceptionAt(r, to)
    redis.call('LTRIM', K_MESSAGES, to - r[CURSOR], -1)
    forgetExpiries(r, r[CURSOR] + 1, to)
    r[CURSOR] = to
    r[CURSOR_WEIGHT] = passed and passed.weight or weight
  else
    redis.call('LSET', K_MESSAGES, seq - r[CURSOR] - 1, struct.pack(ENTRY, 1, at, expiresAt, weight, size))
    forgetExpiries(r, seq, seq)
  end
end

-- The messages' key went by itself: all of them waited longer than the retention.
local function giveUpAll(r, now)
  local gaps, from = {}, r[CURSOR] + 1
  r[RANGES] = redis.call('ZCARD', K_EXCEPTIONS)
  eachRange(r, from, function(x)
    if x.from > from then gaps[#gaps + 1] = { from, x.from - 1 } end
    from = x.to + 1
    return false
  end)
  if from <= r[HEAD] then gaps[#gaps + 1] = { from, r[HEAD] } end
  for _, gap in ipairs(gaps) do
    tell(r, RETENTION_EVENT, gap[1], gap[2] - gap[1] + 1)
    addRange(r, {
      from = gap[1], to = gap[2], reason = RETENTION, at = now, bytes = 0, weight = r[HEAD_WEIGHT], wire = 0,
    }, now)
  end
  redis.call('DEL', K_EXPIRIES)
  r[EXPIRIES] = 0
  outcome(UNDELIVERED + RETENTION, r[PENDING])
  r[PENDING], r[PENDING_BYTES] = 0, 0
  r[CURSOR], r[CURSOR_WEIGHT] = r[HEAD], r[HEAD_WEIGHT]
end

-- Makes exceptions of everything whose time is over. True: something changed.
local function age(r, now)
  if r[PENDING] == 0 or now < r[DUE] then return false end
  local front = redis.call('LINDEX', K_MESSAGES, 0)
  if not front then
    giveUpAll(r, now)
    return true
  end
  while r[PENDING] > 0 do
    local at = entryHead(front)
    if now - at < SETTINGS.retentionMs then break end
    except(r, r[CURSOR] + 1, front, RETENTION, now)
    front = redis.call('LINDEX', K_MESSAGES, 0)
  end
  if r[EXPIRIES] > 0 then
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', K_EXPIRIES, '-inf', now)) do
      local seq = tonumber(member)
      if seq > r[CURSOR] then except(r, seq, entryAt(r, seq), EXPIRED, now) end
    end
  end
  if r[PENDING] > 0 then
    local at = entryHead(redis.call('LINDEX', K_MESSAGES, 0))
    r[DUE] = at + SETTINGS.retentionMs
    if r[EXPIRIES] > 0 then
      local soonest = tonumber(redis.call('ZRANGE', K_EXPIRIES, 0, 0, 'WITHSCORES')[2])
      if soonest < r[DUE] then r[DUE] = soonest end
    end
  end
  return true
end

-- The record as time has made it, and whether that is another one than is stored; nil: no device.
local function openDevice(now)
  local r = loadRecord(now)
  if not r then return nil, false end
  local aged = age(r, now)
  local pruned = pruneRanges(r, now)
  return r, aged or pruned
end

-- Looks change nothing but what time did.
local function lookAtDevice(now)
  local r, changed = openDevice(now)
  if changed then saveRecord(r) end
  return r
end

-- Merges an ack and watermarks ('': none). False: the ack's epoch is unknown. Second: something changed.
local function mergeAck(r, epoch, seq, sentEpoch, sentSeq, receivedEpoch, receivedSeq)
  local function mark(markEpoch, markSeq)
    if markEpoch == '' then return 0 end
    local _, counts = resolve(r, markEpoch, markSeq)
    return counts or 0
  end
  local kind, acked = resolve(r, epoch, seq)
  local upTo = acked or 0
  local received = math.max(mark(receivedEpoch, receivedSeq), upTo)
  local sent = math.max(mark(sentEpoch, sentSeq), received)
  local changed = upTo > r[CURSOR] or sent > r[SENT] or received > r[RECEIVED]
  if upTo > r[CURSOR] then
    if r[RECEIPTS_UP_TO] > r[CURSOR] then tellHandled(r, upTo) end
    passTo(r, overExceptions(r, upTo))
  end
  if sent > r[SENT] then r[SENT] = sent end
  if received > r[RECEIVED] then r[RECEIVED] = received end
  -- What was on the wire and is acknowledged is handled after all.
  if upTo > 0 and offWire(r, 1, upTo, false) then changed = true end
  if r[WIRE_FROM] ~= 0 and r[WIRE_FROM] <= upTo then
    r[WIRE_FROM] = upTo + 1
    changed = true
  end
  return kind ~= 'unknown', changed
end

-- Ranges as a flat reply: from, to, reason, …
local function flatRanges(r, after, upTo)
  local flat = {}
  eachRange(r, after + 1, function(x)
    if x.from > upTo then return true end
    flat[#flat + 1] = x.from
    flat[#flat + 1] = x.to
    flat[#flat + 1] = x.reason
    return false
  end)
  return flat
end
