-- Three sources, each with its own window, into one line: what one of them sends in excess holds up itself alone.
local s = require("stageline")

s.pipeline {
  name = "fan in",
  sources = {
    s.generator { count = 1000, template = "a {n}" },
    s.generator { count = 1000, template = "b {n}" },
    { s.generator { count = 1000, template = "c {n}" }, to = "count" },
  },
  stages = {
    { name = "sample", s.sample { every = 10 } },
  },
  sinks = {
    { name = "count", s.count {} },
  },
}
