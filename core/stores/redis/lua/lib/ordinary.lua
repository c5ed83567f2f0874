-- Ordinary pub/sub: who subscribes to a topic, what is stored for whom, and what goes to which node. Everything is in one slot,
-- under one prefix, KEYS[1]; keys.ts names the parts.
local ROOT = KEYS[1]
local TREE, NODES, DEAD = ROOT .. ':tree', ROOT .. ':nodes', ROOT .. ':dead'
local SESSIONS, STATE = ROOT .. ':sessions', ROOT .. ':state'
local RETAINED, TOPICS, UPLINK_WILLS = ROOT .. ':retained', ROOT .. ':topics', ROOT .. ':uplink-wills'
-- A message that is on its way to many sessions, and messages behind it.
local JOB, LATER = ROOT .. ':job', ROOT .. ':later'

-- Of a client: its record, subscriptions, received packet ids, queue.
local function sessionKey(client) return ROOT .. ':s:' .. client end
local function filtersKey(client) return ROOT .. ':o:' .. client end
local function receivedKey(client) return ROOT .. ':r:' .. client end
local function queueKey(client) return ROOT .. ':q:' .. client end
-- Of the job: a copy of the subscribers of one of its filters.
local function jobKey(i) return JOB .. ':' .. i end
-- Of a filter: 'c' and a client → QoS, 'n' and a node → 1.
local function filterKey(filter) return ROOT .. ':f:' .. filter end
-- Of a node: what goes to it, how much that is, the filters of its clients, its clients without a stored session, their wills.
local function streamKey(node) return ROOT .. ':n:' .. node end
local function backlogKey(node) return ROOT .. ':b:' .. node end
local function interestsKey(node) return ROOT .. ':i:' .. node end
local function ownKey(node) return ROOT .. ':l:' .. node end
local function willsKey(node) return ROOT .. ':w:' .. node end

local QUEUED = '>BI6BI4'
local QUEUED_HEAD = 12
local RETAINED_HEAD = '>BI6B'

local drops = { queue = 0, retained = 0, node = 0 }

local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function encode(number, flags, topic, payload)
  return struct.pack(QUEUED, 1, number, flags, #topic) .. topic .. payload
end

local lives = {}
local function alive(node)
  if not node or node == '' then return false end
  if lives[node] == nil then lives[node] = redis.call('ZSCORE', NODES, node) and true or false end
  return lives[node]
end

-- Filters --------------------------------------------------------------------------------------------------------------

-- The tree counts, for every path of levels, the filters that lead through it.
local function count(filter, by)
  local at = 0
  repeat
    at = string.find(filter, '/', at + 1, true)
    local path = string.sub(filter, 1, at and at - 1 or -1)
    if redis.call('HINCRBY', TREE, path, by) <= 0 then redis.call('HDEL', TREE, path) end
  until not at
end

local function addFilter(filter, subscriber, qos)
  local key = filterKey(filter)
  if redis.call('EXISTS', key) == 0 then count(filter, 1) end
  redis.call('HSET', key, subscriber, qos)
end

local function removeFilter(filter, subscriber)
  local key = filterKey(filter)
  if redis.call('HDEL', key, subscriber) == 1 and redis.call('EXISTS', key) == 0 then count(filter, -1) end
end

-- Those of `paths` that are in the tree.
local function there(paths)
  local found = {}
  for from = 1, #paths, 1000 do
    local to = math.min(#paths, from + 999)
    local counts = redis.call('HMGET', TREE, unpack(paths, from, to))
    for i = from, to do
      if counts[i - from + 1] then found[#found + 1] = paths[i] end
    end
  end
  return found
end

-- The filters that match a topic, and perhaps paths that are none.
local function match(topic)
  local found = {}
  -- A leading wildcard matches no topic that begins with `$` [MQTT-4.7.2-1].
  local wild = string.sub(topic, 1, 1) ~= '$'
  local stems, at = { '' }, 0
  local paths = {}
  repeat
    local from = at + 1
    at = string.find(topic, '/', from, true)
    local level = string.sub(topic, from, at and at - 1 or -1)
    local asked = {}
    for _, stem in ipairs(stems) do
      asked[#asked + 1] = stem .. level
      if wild then
        asked[#asked + 1] = stem .. '+'
        asked[#asked + 1] = stem .. '#'
      end
    end
    paths, stems, wild = {}, {}, true
    for _, path in ipairs(there(asked)) do
      if string.sub(path, -1) == '#' then found[#found + 1] = path
      else
        paths[#paths + 1] = path
        stems[#stems + 1] = path .. '/'
      end
    end
  until not at or #stems == 0
  if not at then
    -- `a/#` matches `a` [MQTT-4.7.1-2].
    local parents = {}
    for i, path in ipairs(paths) do
      found[#found + 1] = path
      parents[i] = stems[i] .. '#'
    end
    for _, path in ipairs(there(parents)) do found[#found + 1] = path end
  end
  return found
end

-- Sending --------------------------------------------------------------------------------------------------------------

-- One entry of a node's stream. A node that does not keep up gets one that says so, and nothing more until it has noticed.
local function entry(node, kind, body, targets, from, to)
  local key, backlog = streamKey(node), backlogKey(node)
  local state = redis.call('HMGET', backlog, 'bytes', 'gap')
  if state[2] then
    drops.node = drops.node + 1
    return
  end
  local size = 64 + #kind + #body
  for i = from, to do size = size + #targets[i] end
  if tonumber(state[1] or '0') + size > SETTINGS.ordinaryNodeMaxBytes then
    drops.node = drops.node + 1
    redis.call('HSET', backlog, 'gap', 1)
    redis.call('XADD', key, '*', 'g', '')
    return
  end
  redis.call('HINCRBY', backlog, 'bytes', size)
  redis.call('XADD', key, '*', kind, body, unpack(targets, from, to))
end

-- `out`: for each node a list of what goes to whom there, and whether its other clients are to be looked at.
local function outFor(out, node)
  local list = out[node]
  if not list then
    list = { kind = 'p' }
    out[node] = list
    out[#out + 1] = node
  end
  return list
end

local function send(out, qos, topic, payload)
  local body
  for _, node in ipairs(out) do
    local list = out[node]
    body = body or encode(0, qos, topic, payload)
    local from = 1
    repeat
      local to = math.min(#list, from + 1999)
      entry(node, list.kind, body, list, from, to)
      list.kind = 'p'
      from = to + 1
    until from > #list
  end
end

-- A message for one client: into its queue, and to the node where it is.
local function give(out, client, qos, topic, payload, retain)
  local key = sessionKey(client)
  local s = redis.call('HMGET', key, 'kept', 'next', 'count', 'bytes', 'node', 'conn')
  local number = 0
  if s[1] and qos > 0 then
    local waiting, bytes = tonumber(s[3] or '0'), tonumber(s[4] or '0')
    local size = #topic + #payload
    if waiting >= SETTINGS.ordinaryQueueMax or bytes + size > SETTINGS.ordinaryQueueMaxBytes then
      drops.queue = drops.queue + 1
      return
    end
    number = tonumber(s[2] or '1')
    redis.call('ZADD', queueKey(client), number, encode(number, qos + (retain and 4 or 0), topic, payload))
    redis.call('HSET', key, 'next', number + 1, 'count', waiting + 1, 'bytes', bytes + size)
  end
  if not alive(s[5]) then return end
  local list = outFor(out, s[5])
  list[#list + 1] = client
  list[#list + 1] = string.format('%s %.0f %d %d', s[6], number, qos, retain and 1 or 0)
end

-- An empty payload forgets the topic's message [MQTT-3.3.1-10]. False: there is no room for it.
local function keep(topic, qos, payload)
  local old = redis.call('HGET', RETAINED, topic)
  local before = old and (#old - 8 + #topic) or 0
  if payload == '' then
    if old then
      redis.call('HDEL', RETAINED, topic)
      redis.call('ZREM', TOPICS, topic)
      redis.call('HINCRBY', STATE, 'retained', 0 - before)
    end
    return true
  end
  local size = #topic + #payload
  if not old and redis.call('HLEN', RETAINED) >= SETTINGS.ordinaryRetainedMax then return false end
  if size > before then
    local bytes = tonumber(redis.call('HGET', STATE, 'retained') or '0')
    if bytes + size - before > SETTINGS.ordinaryRetainedMaxBytes then return false end
  end
  local seq = redis.call('HINCRBY', STATE, 'seq', 1)
  redis.call('HSET', RETAINED, topic, struct.pack(RETAINED_HEAD, 1, seq, qos) .. payload)
  redis.call('ZADD', TOPICS, 0, topic)
  redis.call('HINCRBY', STATE, 'retained', size - before)
  return true
end

-- The filters with subscribers that a topic matches, and how many those are at most.
local function audience(topic)
  local a = { filters = {}, size = 0 }
  for _, filter in ipairs(match(topic)) do
    local count = redis.call('HLEN', filterKey(filter))
    if count > 0 then
      a.filters[#a.filters + 1] = filter
      a.size = a.size + count
    end
  end
  return a
end

-- A message to more than one step may write to is a job: it has copies of its filters' subscribers, the first of whom get it at
-- once, the others from the steps that follow, of whatever node. Until then no other message begins: all come to everybody in one
-- order. How many this step has written to:
local spent = 0

local function isBusy() return redis.call('EXISTS', JOB, LATER) > 0 end

-- A session that has ended meanwhile, and perhaps begun anew, or has unsubscribed, does not.
local function subscribes(client, filters)
  for from = 1, #filters, 1000 do
    local found = redis.call('HMGET', filtersKey(client), unpack(filters, from, math.min(#filters, from + 999)))
    for _, subscription in ipairs(found) do
      if subscription then return true end
    end
  end
  return false
end

-- The QoS of a subscriber of several filters: nil where it has been met in an earlier one.
local function highest(subscriber, level, at, filters)
  for other = 1, #filters do
    local found = other ~= at and redis.call('HGET', jobKey(other), subscriber)
    if found and other < at then return nil end
    if found then level = math.max(level, tonumber(found)) end
  end
  return level
end

local function goOnWithJob()
  local job = redis.call('HMGET', JOB, 'body', 'filters', 'at', 'cursor')
  local filters, at, cursor = cmsgpack.unpack(job[2]), tonumber(job[3]), job[4]
  local _, _, qos, length = struct.unpack(QUEUED, job[1])
  local topic = string.sub(job[1], QUEUED_HEAD + 1, QUEUED_HEAD + length)
  local payload, out = string.sub(job[1], QUEUED_HEAD + length + 1), {}
  while at <= #filters and spent < SETTINGS.ordinaryFanOut do
    -- Nobody writes to the copies, so nothing is met twice.
    local found = redis.call('HSCAN', jobKey(at), cursor, 'COUNT', SETTINGS.ordinaryFanOut - spent)
    local fields = found[2]
    for i = 1, #fields, 2 do
      local level, who = highest(fields[i], tonumber(fields[i + 1]), at, filters), string.sub(fields[i], 2)
      if level and string.byte(fields[i]) == 110 then -- n
        if alive(who) then outFor(out, who).kind = 'e' end
      elseif level and subscribes(who, filters) then
        give(out, who, math.min(qos, level), topic, payload, false)
      end
    end
    spent, cursor = spent + #fields / 2, found[1]
    if cursor == '0' then at = at + 1 end
  end
  send(out, qos, topic, payload)
  if at <= #filters then
    redis.call('HSET', JOB, 'at', at, 'cursor', cursor)
    return
  end
  redis.call('DEL', JOB)
  for i = 1, #filters do redis.call('UNLINK', jobKey(i)) end
end

local function publishTo(a, topic, flags, payload)
  local qos = flags % 4
  if flags >= 4 and not keep(topic, qos, payload) then drops.retained = drops.retained + 1 end
  if spent + a.size > SETTINGS.ordinaryFanOut then
    for i, filter in ipairs(a.filters) do redis.call('COPY', filterKey(filter), jobKey(i), 'REPLACE') end
    redis.call(
      'HSET', JOB, 'body', encode(0, qos, topic, payload), 'filters', cmsgpack.pack(a.filters), 'at', 1, 'cursor', '0'
    )
    return goOnWithJob()
  end
  spent = spent + a.size
  local granted, clients, out = {}, {}, {}
  for _, filter in ipairs(a.filters) do
    local fields = redis.call('HGETALL', filterKey(filter))
    for i = 1, #fields, 2 do
      local who = string.sub(fields[i], 2)
      if string.byte(fields[i]) == 110 then -- n
        if alive(who) then outFor(out, who).kind = 'e' end
      else
        local level = tonumber(fields[i + 1])
        if not granted[who] then clients[#clients + 1] = who end
        -- One copy, with the highest QoS [MQTT-3.3.5-1].
        if not granted[who] or granted[who] < level then granted[who] = level end
      end
    end
  end
  for _, client in ipairs(clients) do
    give(out, client, math.min(qos, granted[client]), topic, payload, false)
  end
  send(out, qos, topic, payload)
end

-- Goes on with what is left to do, as far as one step may. False: something is left.
local function goOn()
  while isBusy() do
    if spent >= SETTINGS.ordinaryFanOut then return false end
    if redis.call('EXISTS', JOB) == 1 then goOnWithJob()
    else
      local body = redis.call('LPOP', LATER)
      local _, _, flags, length = struct.unpack(QUEUED, body)
      local topic = string.sub(body, QUEUED_HEAD + 1, QUEUED_HEAD + length)
      publishTo(audience(topic), topic, flags % 8, string.sub(body, QUEUED_HEAD + length + 1))
    end
  end
  return true
end

-- A message whose publisher waits for nothing: in this step, or, where that would be too much, behind what is left to do.
local function publish(topic, flags, payload)
  local a = not isBusy() and audience(topic)
  if a and spent + a.size <= SETTINGS.ordinaryFanOut then return publishTo(a, topic, flags, payload) end
  redis.call('RPUSH', LATER, encode(0, flags, topic, payload))
end

-- Sessions -------------------------------------------------------------------------------------------------------------

local function keepSession(client)
  local key = sessionKey(client)
  if redis.call('HSETNX', key, 'kept', 1) == 0 then return end
  redis.call('HSETNX', key, 'next', 1)
  redis.call('ZADD', SESSIONS, nowMs(), client)
end

-- What is stored of it; who is connected stays so.
local function dropSession(client)
  for _, filter in ipairs(redis.call('HKEYS', filtersKey(client))) do removeFilter(filter, 'c' .. client) end
  redis.call('UNLINK', filtersKey(client), receivedKey(client), queueKey(client))
  redis.call('ZREM', SESSIONS, client)
  redis.call('HDEL', sessionKey(client), 'kept', 'next', 'count', 'bytes', 'sent')
end

local function isOf(client, conn) return redis.call('HGET', sessionKey(client), 'conn') == conn end

local function kick(client, node, conn)
  if alive(node) then entry(node, 'k', conn, { client, '' }, 1, 2) end
end

-- Wills ----------------------------------------------------------------------------------------------------------------

-- Takes the will of a connection away; whoever does, and nobody else, publishes it. One to uplink waits for who stores it there.
local function takeWill(node, client, conn, publishes)
  local will = redis.call('HGET', willsKey(node), client)
  if not will then return false end
  local space = string.find(will, ' ', 1, true)
  if conn and string.sub(will, 1, space - 1) ~= conn then return false end
  redis.call('HDEL', willsKey(node), client)
  if not publishes then return true end
  local body = string.sub(will, space + 1)
  local _, _, flags, length = struct.unpack(QUEUED, body)
  local topic = string.sub(body, QUEUED_HEAD + 1, QUEUED_HEAD + length)
  if string.sub(topic, 1, 7) == 'uplink/' then
    redis.call('HSET', UPLINK_WILLS, client .. ' ' .. string.sub(will, 1, space - 1), struct.pack('>I6', 0) .. body)
  else
    publish(topic, flags % 8, string.sub(body, QUEUED_HEAD + length + 1))
  end
  return true
end
