-- Appends messages to one device's log; creates the device. One call is one atomic step: dedup, caps, epoch, seqs.
-- KEYS  deviceKeys
-- ARGV  now, replication id, generation, id for a new epoch, then for each message:
--       hash of the dedup id (16 bytes, or ''), hash of the body (16 bytes), ttl in ms ('': none), size, entry body
-- Returns {at, last epoch, node, claim, indexed, then for each message: code, seq, at, epoch}
--   codes: 0 accepted, 1 duplicate, 2 inbox_full, 3 dedup_conflict
-- Fails with STALE when another instance answers than the caller knows: data may be missing, so the caller must learn its
-- generation first. The check is part of the step: no append can meet a failover between the two.
-- flags: none (refused when the memory is used up)
--@include clock
--@include record
--@include epochs
--@include exceptions
--@include log
if not string.find(redis.call('INFO', 'replication'), 'master_replid:' .. ARGV[2], 1, true) then
  error({ err = 'STALE another instance answers' })
end
local now = timeOf(ARGV[1])
local r, changed = openDevice(now)
if not r then
  r = newRecord(now, ARGV[4], ARGV[3])
  changed = true
end

local window = math.floor(now / SETTINGS.dedupMs)
local dedupNow = KEYS[5 + window % 2]
local dedupBefore = KEYS[6 - window % 2]

-- 16 bytes hash of the body, u48 seq, u48 at, epoch
local function findDedup(idHash)
  local kept = redis.call('HGET', dedupNow, idHash) or redis.call('HGET', dedupBefore, idHash)
  if not kept then return nil end
  local seq, at = struct.unpack('>I6I6', kept, 17)
  if now - at >= SETTINGS.dedupMs then return nil end
  return string.sub(kept, 1, 16), seq, at, string.sub(kept, 29)
end

local function keepDedup(idHash, bodyHash, seq, epoch)
  local added = redis.call('HSET', dedupNow, idHash, bodyHash .. struct.pack('>I6I6', seq, now) .. epoch)
  if r[DEDUP_WINDOW] ~= window or (added == 1 and redis.call('HLEN', dedupNow) == 1) then
    -- Needed to the end of the next window.
    redis.call('PEXPIRE', dedupNow, (window + 2) * SETTINGS.dedupMs - now)
    r[DEDUP_WINDOW] = window
  end
end

local function full(size)
  return r[PENDING] >= SETTINGS.inboxMax or r[PENDING_BYTES] + size > SETTINGS.inboxMaxBytes
end

local function makeRoom(size)
  if not full(size) then return true end
  if not SETTINGS.dropOldest or size > SETTINGS.inboxMaxBytes or SETTINGS.inboxMax < 1 then return false end
  while full(size) do except(r, r[CURSOR] + 1, redis.call('LINDEX', K_MESSAGES, 0), OVERFLOW, now) end
  return true
end

local function append(ttl, size, body)
  if r[GENERATION] ~= ARGV[3] then startEpoch(r, ARGV[4], ARGV[3]) end
  local seq = r[HEAD] + 1
  local weight = r[HEAD_WEIGHT] + size
  local expiresAt = ttl == '' and 0 or now + tonumber(ttl)
  local count = redis.call('RPUSH', K_MESSAGES, struct.pack(ENTRY, SETTINGS.format, now, expiresAt, weight, size) .. body)
  local due = now + SETTINGS.retentionMs
  if count == 1 or due > r[KEPT_UNTIL] then
    -- Some time ahead, so that not every append has to say it again.
    r[KEPT_UNTIL] = due + math.floor(SETTINGS.retentionMs / 8)
    redis.call('PEXPIRE', K_MESSAGES, r[KEPT_UNTIL] - now + GRACE)
    if r[EXPIRIES] > 0 then redis.call('PEXPIRE', K_EXPIRIES, r[KEPT_UNTIL] - now + GRACE) end
    if r[RANGES] > 0 and r[RANGES_UNTIL] < r[KEPT_UNTIL] then
      r[RANGES_UNTIL] = r[KEPT_UNTIL]
      redis.call('PEXPIRE', K_EXCEPTIONS, r[RANGES_UNTIL] - now + GRACE)
    end
  end
  if expiresAt ~= 0 then
    redis.call('ZADD', K_EXPIRIES, expiresAt, seq)
    r[EXPIRIES] = r[EXPIRIES] + 1
    if r[EXPIRIES] == 1 then redis.call('PEXPIRE', K_EXPIRIES, r[KEPT_UNTIL] - now + GRACE) end
    if expiresAt < due then due = expiresAt end
  end
  if r[PENDING] == 0 or due < r[DUE] then r[DUE] = due end
  r[HEAD], r[HEAD_WEIGHT] = seq, weight
  r[PENDING], r[PENDING_BYTES] = r[PENDING] + 1, r[PENDING_BYTES] + size
  r[USED] = now
  changed = true
  return seq
end

local reply = { now, '', r[NODE], r[CLAIM], r[INDEXED] }
for i = 5, #ARGV, 5 do
  local idHash, bodyHash, size = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3])
  local keptBody, keptSeq, keptAt, keptEpoch
  if idHash ~= '' then keptBody, keptSeq, keptAt, keptEpoch = findDedup(idHash) end
  local n = #reply
  if keptBody then
    reply[n + 1] = keptBody == bodyHash and 1 or 3
    reply[n + 2], reply[n + 3], reply[n + 4] = keptSeq, keptAt, keptEpoch
  elseif not makeRoom(size) then
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = 2, 0, 0, ''
  else
    local seq = append(ARGV[i + 2], size, ARGV[i + 4])
    if idHash ~= '' then keepDedup(idHash, bodyHash, seq, lastEpoch(r)) end
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = 0, seq, now, ''
  end
end
reply[2] = lastEpoch(r)
if changed then saveRecord(r) end
return reply
