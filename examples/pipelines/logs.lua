-- A log of a web server: the requests that failed, by path, in JSON on stdout.
local s = require("stageline")

local slow = 0.5

s.pipeline {
  name = "logs",
  order = "submission",
  workers = 1,
  s.stdin {},
  s.regex {
    pattern = [=[^(?<host>\S+) \S+ \S+ \[(?<time>[^\]]+)\] "(?<method>[A-Z]+) (?<path>\S+) [^"]*" (?<status>\d+) (?<bytes>\d+|-) (?<seconds>[\d.]+)$]=],
    on_mismatch = "drop",
  },
  s.lua { handle = function(message)
    local line = message:json()
    local status, seconds = tonumber(line.status), tonumber(line.seconds)
    if status < 500 and seconds < slow then return s.DROP end
    message:set_json({ path = line.path, status = status, why = status < 500 and "slow" or "failed" })
  end },
  s.json { select = { "why", "status", "path" } },
  s.stdout {},
}
