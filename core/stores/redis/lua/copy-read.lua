-- A device's record, for a migration to another store.
-- KEYS  deviceKeys
-- ARGV  now
-- Returns the fields in order (numbers below 2^53), or nil: no such device
-- flags: no-writes
local raw = redis.call('GET', KEYS[1])
if not raw then return false end
local r = cmsgpack.unpack(raw)
if r[1] > SETTINGS.newestFormat then error({ err = 'NEWERFORMAT the record has format ' .. tostring(r[1]) }) end
return r
