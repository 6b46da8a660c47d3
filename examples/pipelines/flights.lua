-- The flights that left New York in January 2013, from packed CSV into SQLite: which were late, and by how much for the
-- time that they were in the air. What was cancelled or diverted goes to a table of its own. Run again, it writes the
-- same rows in their places.
local s = require("stageline")

local data = "examples/flights/data/"
local database = os.getenv("DATABASE") or "flights.sqlite"

-- A late flight's score: its delay in percent of the time that it was in the air.
local late = { bucket = "arr_delay < 45 ? 'minor' : arr_delay < 180 ? 'major' : 'severe'", score = "100 * arr_delay / air_time" }
local on_time = { bucket = "arr_delay < 0 ? 'early' : 'on time'", score = 0 }

s.pipeline {
  name = "flights",
  sources = {
    s.file_source { path = data .. "january-*.csv.gz", codec = "csv", annotate = true },
  },
  stages = {
    { name = "parse", s.csv_to_json { infer = true, null = { "", "NA" }, null_as = "absent" } },
    -- Only flights that arrived where they were to.
    { name = "screen", s.attributes { set = { reason = "!has(this.dep_time) ? 'cancelled' : !has(this.arr_delay) || !has(this.air_time) ? 'diverted' : ''" } },
      routes = { { attribute = "reason", equals = "cancelled", to = "rejects" }, { attribute = "reason", equals = "diverted", to = "rejects" } } },
    { name = "airline", s.lookup { file = data .. "airlines.csv", column = "carrier", key = "carrier", set = { airline = "name" } } },
    { name = "origin", s.lookup { file = data .. "airports.csv", column = "faa", key = "origin", set = { origin_name = "name" } } },
    { name = "dest", s.lookup { file = data .. "airports.csv", column = "faa", key = "dest", set = { dest_name = "name" } },
      routes = { { when = "arr_delay >= 15", to = "late" } } },
    { name = "on_time", s.json { set = on_time }, otherwise = "flights" },
    { name = "late", s.json { set = late }, otherwise = "flights" },
  },
  sinks = {
    { name = "flights", s.sqlite {
      path = database, table = "flights", create = true, key = { "file", "line" }, on_conflict = "replace",
      columns = { "file", "line", "carrier", "flight", "airline", "tailnum", "origin", "origin_name", "dest", "dest_name", "scheduled",
        "dep_delay", "arr_delay", "air_time", "distance", "bucket", "score" },
      values = { file = 'attributes["file.path"]', line = 'attributes["file.line"]', scheduled = "time_hour" },
    } },
    { name = "rejects", s.sqlite {
      path = database, table = "rejects", create = true, key = { "file", "line" }, on_conflict = "replace",
      columns = { "file", "line", "reason", "record" },
      values = { file = 'attributes["file.path"]', line = 'attributes["file.line"]', reason = 'attributes["reason"]', record = "@data" },
    } },
  },
  dead_letter = s.file_sink { path = "flights.failed" },
}
