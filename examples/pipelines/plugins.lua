-- A plugin in C, which writes upper case behind a prefix, and one in Rust, which turns messages round.
local s = require("stageline")

s.pipeline {
  name = "plugins",
  s.stdin {},
  s.plugin("build/upper.so", { prefix = "c: " }),
  s.plugin("build/reverse_component.so", {}),
  s.stdout {},
}
