-- Time is the server's, so that all nodes agree. `given`: milliseconds to be used instead (tests), or ''.
local stepTime = 0
local function timeOf(given)
  if given ~= '' then
    stepTime = tonumber(given)
  else
    local t = redis.call('TIME')
    stepTime = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return stepTime
end
