-- One call, many devices. Each is an atomic step of its own, and one that fails leaves the others alone: they are in one call
-- only because that costs less. What a call brings and answers is packed, for the same reason.
local FAILED = 255

-- Calls work(at) for each of the devices that `data` has a part for (u32 length of the part, the part), with the place where
-- its part begins. What work answers for each, or u8 FAILED, u16 length, why; one after the other.
local function forEachDevice(data, work)
  local parts, at, number = {}, 1, 0
  while at <= #data do
    local length
    length, at = struct.unpack('>I4', data, at)
    number = number + 1
    useDevice(number)
    local done, result = pcall(work, at)
    if not done then
      local why = type(result) == 'table' and result.err or tostring(result)
      result = struct.pack('>BI2c0', FAILED, #why, why)
    end
    parts[number] = result
    at = at + length
  end
  return table.concat(parts)
end
