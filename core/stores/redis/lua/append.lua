-- Appends messages to the logs of devices; creates the devices. For each device it is one atomic step: dedup, caps, epoch, seqs.
-- KEYS  deviceKeys of each device, one device after the other
-- ARGV  now, replication id, generation, then the parts of all devices (lib/many.lua), each:
--       11 bytes id for a new epoch, u8 length of the shard, shard, u32 messages, then for each message: u8 1 with a dedup id, else 0; u48 ttl in ms (0: none);
--       u32 size; u32 length of the entry's body; [16 bytes hash of the dedup id, 16 bytes hash of the body;] the entry's body
-- Returns u48 at, then for each device: u8 indexed; last epoch, node and claim, each after its u16 length; then for each message
--   u8 0 accepted: u48 seq. 1 duplicate, 3 dedup_conflict: u48 seq, u48 at, u16 length and epoch. 2 inbox_full
-- Fails with STALE when another instance answers than the caller knows: data may be missing, so the caller must learn its
-- generation first. The check is part of the step: no append can meet a failover between the two.
-- flags: none (refused when the memory is used up)
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
--@include due
--@include many
if not string.find(redis.call('INFO', 'replication'), 'master_replid:' .. ARGV[2], 1, true) then
  error({ err = 'STALE another instance answers' })
end
local now = timeOf(ARGV[1])
local generation, data = ARGV[3], ARGV[4]
local due = now + SETTINGS.retentionMs
local window = math.floor(now / SETTINGS.dedupMs)
local MESSAGE = '>BI6I4I4'
-- Arguments of one command.
local MOST = 500

-- What is written at the end of a device's step, or when there is much of it: entries of the log, and dedup ids.
local entries, ids
-- Dedup id (its hash) → 16 bytes hash of the body, u48 seq, u48 at, epoch: of the ids of this call, as far as they were kept.
local kept
-- The first message that expires waits.
local expiring
local newEpoch

local function writeEntries(r)
  if #entries == 0 then return end
  local renewed = redis.call('RPUSH', K_MESSAGES, unpack(entries)) == #entries or due > r[KEPT_UNTIL]
  entries = {}
  if renewed then
    -- Some time ahead, so that not every append has to say it again.
    r[KEPT_UNTIL] = due + math.floor(SETTINGS.retentionMs / 8)
    redis.call('PEXPIRE', K_MESSAGES, r[KEPT_UNTIL] - now + GRACE)
    if r[RANGES] > 0 and r[RANGES_UNTIL] < r[KEPT_UNTIL] then
      r[RANGES_UNTIL] = r[KEPT_UNTIL]
      redis.call('PEXPIRE', K_EXCEPTIONS, r[RANGES_UNTIL] - now + GRACE)
    end
  end
  if r[EXPIRIES] > 0 and (renewed or expiring) then
    redis.call('PEXPIRE', K_EXPIRIES, r[KEPT_UNTIL] - now + GRACE)
    expiring = false
  end
end

local function writeIds(r)
  if #ids == 0 then return end
  local key = window % 2 == 0 and K_DEDUP_EVEN or K_DEDUP_ODD
  redis.call('HSET', key, unpack(ids))
  ids = {}
  if r[DEDUP_WINDOW] ~= window then
    -- Needed to the end of the next window.
    redis.call('PEXPIRE', key, (window + 2) * SETTINGS.dedupMs - now)
    r[DEDUP_BEFORE] = (r[DEDUP_WINDOW] < window - 1) and 0 or 1
    r[DEDUP_WINDOW] = window
  end
end

local function findIds(key, hashes)
  for from = 1, #hashes, MOST do
    local upTo = math.min(#hashes, from + MOST - 1)
    local found = redis.call('HMGET', key, unpack(hashes, from, upTo))
    for i = from, upTo do kept[hashes[i]] = kept[hashes[i]] or found[i - from + 1] or nil end
  end
end

-- Looks for the dedup ids of the part at `at`, where they can be: the record says in which windows ids were kept.
local function lookForIds(r, at)
  local last = r[DEDUP_WINDOW]
  if last < window - 1 then return end
  local hashes = {}
  local count
  count, at = struct.unpack('>I4', data, at)
  for _ = 1, count do
    local withId, _, _, length, body = struct.unpack(MESSAGE, data, at)
    if withId == 1 then
      hashes[#hashes + 1] = string.sub(data, body, body + 15)
      body = body + 32
    end
    at = body + length
  end
  if #hashes == 0 then return end
  local here, other = K_DEDUP_EVEN, K_DEDUP_ODD
  if window % 2 == 1 then here, other = other, here end
  if last >= window then findIds(here, hashes) end
  -- A record of an earlier version does not say (nil). `last` is ahead when the clock went back.
  if last ~= window or r[DEDUP_BEFORE] ~= 0 then findIds(other, hashes) end
end

local function full(r, size)
  return r[PENDING] >= SETTINGS.inboxMax or r[PENDING_BYTES] + size > SETTINGS.inboxMaxBytes
end

local function makeRoom(r, size)
  if not full(r, size) then return true end
  if not SETTINGS.dropOldest or size > SETTINGS.inboxMaxBytes or SETTINGS.inboxMax < 1 then return false end
  writeEntries(r)
  while full(r, size) do except(r, r[CURSOR] + 1, redis.call('LINDEX', K_MESSAGES, 0), OVERFLOW, now) end
  return true
end

local function append(r, ttl, size, body)
  if r[GENERATION] ~= generation then startEpoch(r, newEpoch, generation) end
  local seq = r[HEAD] + 1
  local weight = r[HEAD_WEIGHT] + size
  local expiresAt = ttl == 0 and 0 or now + ttl
  entries[#entries + 1] = struct.pack(ENTRY, SETTINGS.format, now, expiresAt, weight, size) .. body
  local over = due
  if expiresAt ~= 0 then
    redis.call('ZADD', K_EXPIRIES, expiresAt, seq)
    r[EXPIRIES] = r[EXPIRIES] + 1
    if r[EXPIRIES] == 1 then expiring = true end
    if expiresAt < over then over = expiresAt end
  end
  if r[PENDING] == 0 or over < r[DUE] then r[DUE] = over end
  r[HEAD], r[HEAD_WEIGHT] = seq, weight
  r[PENDING], r[PENDING_BYTES] = r[PENDING] + 1, r[PENDING_BYTES] + size
  r[USED] = now
  if wantsReceipt(body, 1) then r[RECEIPTS_UP_TO] = seq end
  if r[CLAIM] == '' then tellOffline(r) end
  if #entries == MOST then writeEntries(r) end
  return seq
end

-- What became of one message, whose head is given and whose rest stands at `at`.
local function outcome(r, withId, ttl, size, length, at)
  local idHash
  if withId == 1 then
    idHash = string.sub(data, at, at + 15)
    local value = kept[idHash]
    if value then
      local seq, appended = struct.unpack('>I6I6', value, 17)
      if now - appended < SETTINGS.dedupMs then
        local same = string.sub(value, 1, 16) == string.sub(data, at + 16, at + 31)
        return struct.pack('>BI6I6I2c0', same and 1 or 3, seq, appended, #value - 28, string.sub(value, 29)), false
      end
    end
    at = at + 32
  end
  if not makeRoom(r, size) then return '\2', false end
  local seq = append(r, ttl, size, string.sub(data, at, at + length - 1))
  if idHash then
    local value = string.sub(data, at - 16, at - 1) .. struct.pack('>I6I6', seq, now) .. lastEpoch(r)
    kept[idHash] = value
    local n = #ids
    ids[n + 1], ids[n + 2] = idHash, value
    if n + 2 >= MOST then writeIds(r) end
  end
  return struct.pack('>BI6', 0, seq), true
end

return struct.pack('>I6', now) .. forEachDevice(data, function(at)
  local shard
  newEpoch, shard, at = struct.unpack('>c11Bc0', data, at)
  local r, changed = openDevice(now)
  if not r then
    r = newRecord(now, newEpoch, generation)
    changed = true
  end
  entries, ids, kept, expiring = {}, {}, {}, false
  lookForIds(r, at)
  local reply, count = { '' }, nil
  count, at = struct.unpack('>I4', data, at)
  for i = 1, count do
    local withId, ttl, size, length, rest = struct.unpack(MESSAGE, data, at)
    local appended
    reply[i + 1], appended = outcome(r, withId, ttl, size, length, rest)
    changed = changed or appended
    at = rest + length + 32 * withId
  end
  writeEntries(r)
  writeIds(r)
  if changed then
    noteDue(r, shard)
    saveRecord(r)
  end
  local epoch, node, claim = lastEpoch(r), r[NODE], r[CLAIM]
  reply[1] = struct.pack('>BI2c0I2c0I2c0', r[INDEXED], #epoch, epoch, #node, node, #claim, claim)
  return table.concat(reply)
end)
