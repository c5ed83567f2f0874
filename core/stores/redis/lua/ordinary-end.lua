-- Ends the session of a client, stored or not, and its connection.
-- KEYS  the prefix of ordinary pub/sub
-- ARGV  client
-- Returns 1
-- flags: allow-oom
--@include ordinary
local client = ARGV[1]
local s = redis.call('HMGET', sessionKey(client), 'kept', 'node', 'conn')
if s[3] then kick(client, s[2], s[3]) end
if s[1] then dropSession(client) end
if not (s[3] and alive(s[2])) then redis.call('DEL', sessionKey(client)) end
return 1
