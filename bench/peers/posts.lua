-- wrk script: posts readings, BATCH per request, of DEVICES devices in turn. Requests are made once, before the run.
local batch = tonumber(os.getenv("BATCH") or "1")
local devices = tonumber(os.getenv("DEVICES") or "10000")
local requests, at = {}, 0

function init(args)
  local kinds = batch == 1 and math.min(devices, 4096) or 64
  local first = math.random(devices)
  for i = 1, kinds do
    local lines = {}
    for j = 1, batch do
      local device = (first + (i - 1) * batch + j) % devices
      lines[j] = string.format('{"id":"meter-%06d","value":%d.5}', device, 10 + device % 31)
    end
    requests[i] = wrk.format("POST", "/api/v1/telemetry",
      {["Content-Type"] = batch == 1 and "application/json" or "application/x-ndjson"}, table.concat(lines, "\n"))
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
