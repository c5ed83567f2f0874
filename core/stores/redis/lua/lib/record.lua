-- A device's record: one string, a MessagePack array. Fields are added at the end; a script writes back fields that it does
-- not know. 0 and '' stand for "none".
local FORMAT, CREATED, USED, SEEN = 1, 2, 3, 4
local HEAD, HEAD_WEIGHT = 5, 6 -- weights are sums of sizes since seq 1
local CURSOR, CURSOR_WEIGHT = 7, 8
local SENT, RECEIVED = 9, 10
local PENDING, PENDING_BYTES = 11, 12
local DUE = 13 -- nothing expires, and nothing is given up, before it
local EXPIRIES = 14 -- how many members the sorted set of expiries has
local KEPT_UNTIL = 15 -- the messages' key lives at least as long
local RANGES, RANGES_TOP, RANGES_UNTIL = 16, 17, 18 -- exceptions: how many, the last seq, how long their key lives at least
local FLOOR = 19 -- exceptions up to here are forgotten
local WIRE, WIRE_FROM = 20, 21 -- number of the claim; no exception before WIRE_FROM is on its wire (0: none at all)
local DEDUP_WINDOW = 22 -- the last window that a dedup id was kept in
local GENERATION, EPOCHS = 23, 24 -- EPOCHS: {epoch, first seq, epoch, first seq, …}
local NODE, CLAIM, CONNECTED = 25, 26, 27
local SUBSCRIPTION = 28
local INDEXED = 29 -- 1: the index of device ids has it
local MAYBE_SENT = 30 -- up to here a node that died may have put messages on the wire without a word
local DEDUP_BEFORE = 31 -- 1: dedup ids were kept in the window before DEDUP_WINDOW, too
local RECEIPTS_UP_TO = 32 -- no message with a receipt stands behind it
local TOLD_OFFLINE = 33 -- when it was told that messages wait and nobody is there; 0: not since the last claim
local NOTED_DUE = 34 -- when somebody will look at it although nobody uses it (lib/due.lua); 0: never

-- Of the device that is worked on.
local K_RECORD, K_MESSAGES, K_EXCEPTIONS, K_EXPIRIES, K_DEDUP_EVEN, K_DEDUP_ODD
local function useDevice(number)
  local i = 6 * number - 5
  K_RECORD, K_MESSAGES, K_EXCEPTIONS = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  K_EXPIRIES, K_DEDUP_EVEN, K_DEDUP_ODD = KEYS[i + 3], KEYS[i + 4], KEYS[i + 5]
end
useDevice(1)

-- Keys live a little longer than what is in them counts.
local GRACE = 60000

local function newRecord(now, epoch, generation)
  -- Nothing of an earlier device under the id may be left to this one.
  redis.call('UNLINK', K_MESSAGES, K_EXCEPTIONS, K_EXPIRIES, K_DEDUP_EVEN, K_DEDUP_ODD)
  return {
    SETTINGS.format, now, now, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, -1,
    generation, { epoch, 1 }, '', '', 0, '', 0, 0, 0, 0, 0, 0,
  }
end

local function deleteDevice()
  redis.call('UNLINK', K_RECORD, K_MESSAGES, K_EXCEPTIONS, K_EXPIRIES, K_DEDUP_EVEN, K_DEDUP_ODD)
end

-- The record, or nil: there is none, or nobody used it for so long that it is removed now.
local function loadRecord(now)
  local raw = redis.call('GET', K_RECORD)
  if not raw then return nil end
  local r = cmsgpack.unpack(raw)
  if r[FORMAT] > SETTINGS.newestFormat then error({ err = 'NEWERFORMAT the record has format ' .. tostring(r[FORMAT]) }) end
  -- Of an earlier version.
  r[DEDUP_BEFORE] = r[DEDUP_BEFORE] or 1
  if not r[TOLD_OFFLINE] then r[RECEIPTS_UP_TO], r[TOLD_OFFLINE] = 0, 0 end
  r[NOTED_DUE] = r[NOTED_DUE] or 0
  if r[CLAIM] == '' and r[PENDING] == 0 and now - math.max(r[USED], r[SEEN]) > SETTINGS.idleMs then
    deleteDevice()
    return nil
  end
  return r
end

-- A record that nobody uses goes by itself; one that is owned does not.
local function saveRecord(r)
  -- One of a newer version keeps its format, as it keeps its fields.
  if r[FORMAT] < SETTINGS.format then r[FORMAT] = SETTINGS.format end
  local raw = cmsgpack.pack(r)
  if r[CLAIM] ~= '' then
    redis.call('SET', K_RECORD, raw)
  else
    local ms = SETTINGS.idleMs + GRACE
    if r[PENDING] > 0 then ms = ms + SETTINGS.retentionMs end
    redis.call('SET', K_RECORD, raw, 'PX', ms)
  end
end
