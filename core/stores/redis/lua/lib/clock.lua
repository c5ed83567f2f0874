-- Time is the server's, so that all nodes agree. `given`: milliseconds to be used instead (tests), or ''.
local function timeOf(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
