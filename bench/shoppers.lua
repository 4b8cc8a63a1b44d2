-- Sends a shop's requests, each of another visitor, with fresh ids and times; shoppers.py writes the two files.
-- wrk calls `init` with their paths, and a number of eight digits that no other run of the load has.

local pages, visitors = {}, {}
local run, count, event = "", 0, 0

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- A page is constant text with marks of one byte between, in turn.
local function parts_of(text)
  local parts = {}
  local from = 1
  for at in text:gmatch("()[\1\2\3\4\5\6]") do
    parts[#parts + 1] = text:sub(from, at - 1)
    parts[#parts + 1] = text:byte(at)
    from = at + 1
  end
  parts[#parts + 1] = text:sub(from)
  return parts
end

function init(args)
  for text in contents(args[1]):gmatch("[^\30]+") do pages[#pages + 1] = parts_of(text) end
  for head, fbp in contents(args[2]):gmatch("([^\30\31]+)\31([^\30]+)") do
    visitors[#visitors + 1] = { head, fbp }
  end
  run = args[3]
  event = run % 1000 * 100000
end

-- Eight digits that each event has to itself, in no order.
local function digits()
  return string.format("%08.0f", event % 100000000 * 61803399 % 100000000)
end

function request()
  local parts, visitor = pages[count % #pages + 1], visitors[count % #visitors + 1]
  -- The clock knows only seconds here; so an event happened one or two of them ago.
  local at = (os.time() - 1) * 1000 + count % 1000
  local time, sent = string.format("%.0f", at), string.format("%.0f", at + 40)
  count = count + 1
  local filled = {}
  for place = 1, #parts, 2 do
    filled[place] = parts[place]
    local mark = parts[place + 1]
    if mark == 1 then filled[place + 1] = time
    elseif mark == 2 then filled[place + 1] = sent
    elseif mark == 3 then
      event = event + 1
      filled[place + 1] = run .. digits()
    elseif mark == 4 then filled[place + 1] = digits()
    elseif mark == 5 then filled[place + 1] = visitor[1]
    elseif mark == 6 then filled[place + 1] = visitor[2]
    end
  end
  return table.concat(filled)
end
