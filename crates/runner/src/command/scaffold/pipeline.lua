-- Ten numbers, doubled, on stdout.
local s = require("stageline")

s.pipeline {
  name = "NAME",
  s.generator { count = 10, template = "{n}" },
  s.lua { handle = function(message)
    message.data = tostring(2 * tonumber(message.data))
  end },
  s.stdout {},
}
