-- How messages leave their inbox, as this call decides it: counted here, and told beside the answer (script-loader.ts, where
-- this stands in front of every script that can decide it; reply-outcomes.ts reads it).
-- 12 numbers: handled; undelivered by the number of the reason, 1 … 5; deleted with the device; taken back by the reason.
local OUTCOMES = nil
local HANDLED, UNDELIVERED, TAKEN_BACK = 1, 1, 7

local function outcome(at, count)
  if count == 0 then return end
  OUTCOMES = OUTCOMES or { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
  OUTCOMES[at] = OUTCOMES[at] + count
end
