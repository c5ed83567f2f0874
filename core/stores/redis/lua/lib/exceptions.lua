-- Exceptions, by the rules of core/model/exceptions.ts: a sorted set of ranges, the score is the last seq, the member
-- u48 from, u8 reason, u48 at, u48 bytes, u48 weight of the log up to the last seq, u32 wire.
-- `wire`: the number of the claim that it may be on the wire of (0: of none), which is of no meaning under a later claim.
local EXPIRED, CANCELLED, OVERFLOW, RETENTION = 1, 2, 4, 5
local RANGE = '>I6BI6I6I6I4'
local RANGES_KEPT = 1000

local function packRange(x)
  return struct.pack(RANGE, x.from, x.reason, x.at, x.bytes, x.weight, x.wire)
end

local function unpackRange(r, member, score)
  local from, reason, at, bytes, weight, wire = struct.unpack(RANGE, member)
  if wire ~= r[WIRE] then wire = 0 end
  return {
    from = from, to = tonumber(score), reason = reason, at = at, bytes = bytes, weight = weight, wire = wire,
    member = member,
  }
end

-- Calls visit(range) for the ranges that end at or after `seq`, in order, until it answers true. It may change ranges up to
-- the one that it has.
local function eachRange(r, seq, visit)
  if r[RANGES] == 0 then return end
  local from = seq
  local count = 2
  while true do
    local found = redis.call('ZRANGEBYSCORE', K_EXCEPTIONS, from, '+inf', 'WITHSCORES', 'LIMIT', 0, count)
    for i = 1, #found, 2 do
      local range = unpackRange(r, found[i], found[i + 1])
      if visit(range) then return end
      from = range.to + 1
    end
    if #found < 2 * count then return end
    count = 64
  end
end

-- The range that holds `seq`, or nil.
local function exceptionAt(r, seq)
  local result = nil
  eachRange(r, seq, function(x)
    if x.from <= seq then result = x end
    return true
  end)
  return result
end

local function removeRange(r, x)
  redis.call('ZREM', K_EXCEPTIONS, x.member)
  r[RANGES] = r[RANGES] - 1
end

local function putRange(r, x)
  redis.call('ZADD', K_EXCEPTIONS, x.to, packRange(x))
  r[RANGES] = r[RANGES] + 1
end

local function joins(a, b)
  return a.to + 1 == b.from and a.reason == b.reason and a.wire == b.wire
end

-- Adds a range that overlaps none; neighbours of the same kind become one.
local function addRange(r, x, now)
  local before, after = nil, nil
  eachRange(r, x.from - 1, function(other)
    if other.to < x.from then
      before = other
      return false
    end
    after = other
    return true
  end)
  if before and joins(before, x) then
    removeRange(r, before)
    x.from = before.from
    x.at = math.max(before.at, x.at)
    x.bytes = before.bytes + x.bytes
  end
  if after and joins(x, after) then
    removeRange(r, after)
    x.to = after.to
    x.at = math.max(x.at, after.at)
    x.bytes = x.bytes + after.bytes
    x.weight = after.weight
  end
  putRange(r, x)
  if x.to > r[RANGES_TOP] then r[RANGES_TOP] = x.to end
  -- They can be asked for as long as the retention, and are needed as long as messages stand behind them.
  r[RANGES_UNTIL] = math.max(r[RANGES_UNTIL], now + SETTINGS.retentionMs, r[KEPT_UNTIL])
  redis.call('PEXPIRE', K_EXCEPTIONS, r[RANGES_UNTIL] - now + GRACE)
end

-- Where a cursor that stands at `seq` comes to rest.
local function overExceptions(r, seq)
  local at = seq
  eachRange(r, seq, function(x)
    if x.from > at + 1 then return true end
    if x.to > at then at = x.to end
    return false
  end)
  return at
end

-- Cuts what is on the wire inside [from, to] out of the ranges; `keep`: it stays an exception, off the wire.
-- The weight of a range that is cut stays with its last part.
local function offWire(r, from, to, keep)
  if r[WIRE_FROM] == 0 or r[WIRE_FROM] > to then return false end
  local found = {}
  eachRange(r, math.max(from, r[WIRE_FROM]), function(x)
    if x.from > to then return true end
    if x.wire ~= 0 then found[#found + 1] = x end
    return false
  end)
  for _, x in ipairs(found) do
    removeRange(r, x)
    local function part(first, last, wire)
      if first > last then return end
      local bytes = last == x.to and x.bytes or 0
      putRange(r, { from = first, to = last, reason = x.reason, at = x.at, bytes = bytes, weight = x.weight, wire = wire })
    end
    part(x.from, from - 1, x.wire)
    local first, last = math.max(x.from, from), math.min(x.to, to)
    if keep then
      part(first, last, 0)
    else
      outcome(HANDLED, last - first + 1)
      outcome(TAKEN_BACK + x.reason, last - first + 1)
    end
    part(to + 1, x.to, x.wire)
  end
  return #found > 0
end

-- Forgets ranges at or below the cursor that are too old or too many. True: something changed.
local function pruneRanges(r, now)
  if r[RANGES] == 0 then return false end
  if now >= r[RANGES_UNTIL] and r[PENDING] == 0 then
    redis.call('DEL', K_EXCEPTIONS)
    r[FLOOR] = math.max(r[FLOOR], math.min(r[RANGES_TOP], r[CURSOR]))
    r[RANGES] = 0
    r[WIRE_FROM] = 0
    return true
  end
  local dropped = false
  eachRange(r, 0, function(x)
    if x.to > r[CURSOR] then return true end
    if x.at >= now - SETTINGS.retentionMs and r[RANGES] <= RANGES_KEPT then return true end
    removeRange(r, x)
    r[FLOOR] = x.to
    dropped = true
    return false
  end)
  return dropped
end
