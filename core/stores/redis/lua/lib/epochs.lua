-- Positions, by the rules of core/model/epochs.ts.

local function lastEpoch(r)
  local e = r[EPOCHS]
  return e[#e - 1]
end

local function endOfStretch(r, i)
  local following = r[EPOCHS][i + 3]
  return following and following - 1 or r[HEAD]
end

-- 'valid' | 'past' | 'unknown', and up to which seq it counts.
local function resolve(r, epoch, seq)
  local e = r[EPOCHS]
  for i = #e - 1, 1, -2 do
    if e[i] == epoch then
      local last = endOfStretch(r, i)
      if seq <= last then return 'valid', seq end
      return 'past', last
    end
  end
  return 'unknown', nil
end

local function epochAt(r, seq)
  local e = r[EPOCHS]
  for i = #e - 1, 3, -2 do
    if e[i + 1] <= seq then return e[i] end
  end
  return e[1]
end

-- An epoch that begins with the next append; old ones that nothing after the cursor belongs to are forgotten past 16.
local function startEpoch(r, epoch, generation)
  local e = r[EPOCHS]
  e[#e + 1] = epoch
  e[#e + 1] = r[HEAD] + 1
  r[GENERATION] = generation
  while #e > 32 and endOfStretch(r, 1) <= r[CURSOR] do
    table.remove(e, 1)
    table.remove(e, 1)
  end
end

-- Whether `seq` of `epoch` ('': of any) is a place in this log.
local function isPlace(r, seq, epoch)
  if seq < 1 or seq > r[HEAD] then return false end
  local e = r[EPOCHS]
  if epoch == '' then return seq >= e[2] end
  for i = 1, #e, 2 do
    if e[i] == epoch then return seq >= e[i + 1] and seq <= endOfStretch(r, i) end
  end
  return false
end
