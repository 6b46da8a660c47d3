local s = require("stageline")

s.pipeline {
  name = "speed",
  s.file_source { path = os.getenv("ROWS"), codec = "ndjson" },
  s.json {
    filter = os.getenv("FILTER"),
    select = { "carrier", "flight", "origin", "dest", "dep_delay" },
  },
  os.getenv("OUT") == "null" and s.null {} or s.stdout {},
}
