-- For wrk: no head twice. HEADS is a file of shapes, as benchmarks/heads.py describes them: this must make the same.
-- With BODY_BYTES above 0 each head is a POST of so many bytes of JSON, which differ too.
local body_bytes = tonumber(os.getenv("BODY_BYTES") or "0")
local shapes, n, threads = {}, 0, 0

function setup(thread)
  thread:set("first", threads * 10000000) -- no thread sends what another one does
  threads = threads + 1
end

local function parsed(text)
  local parts, at = {}, 1
  while true do
    local from, to, name = text:find("{(%a+)}", at)
    if not from then break end
    parts[#parts + 1] = text:sub(at, from - 1)
    parts[#parts + 1] = name
    at = to + 1
  end
  parts[#parts + 1] = text:sub(at)
  return parts
end

local function identity(place)
  return string.format("%08x%08x", (n % 1000003 * 40503 + place * 2654435) % 4294967296, n % 4294967296)
end

local function filled(parts)
  local made = {}
  for place, part in ipairs(parts) do
    if place % 2 == 1 then made[place] = part
    elseif part == "n" then made[place] = n
    elseif part == "id" then made[place] = identity(place)
    else made[place] = (n * (place + 7) + place * 31) % 251 end
  end
  return table.concat(made)
end

function init()
  local file = assert(io.open(os.getenv("HEADS")))
  local text = file:read("*a"):gsub("\r\n", "\n") .. "\n\n"
  file:close()
  for head in text:gmatch("(.-)\n\n+") do
    if #head > 0 then
      if body_bytes > 0 then
        head = head:gsub("^%u+", "POST") .. "\nContent-Type: application/json\nContent-Length: " .. body_bytes
      end
      shapes[#shapes + 1] = parsed(head:gsub("\n", "\r\n") .. "\r\n\r\n")
    end
  end
  n = first or 0
end

function request()
  n = n + 1
  local head = filled(shapes[n % #shapes + 1])
  if body_bytes == 0 then return head end
  local begin = '{"id": "' .. identity(0) .. '", "note": "'
  return head .. begin .. string.rep("x", body_bytes - #begin - 2) .. '"}'
end
