-- Lines from any number of connections, into files of a mebibyte each. A signal ends it, and loses nothing.
local s = require("stageline")

s.pipeline {
  name = "tcp to file",
  s.tcp_source { address = os.getenv("LISTEN") or "127.0.0.1:7070" },
  s.file_sink { path = os.getenv("OUTPUT") or "received.log", rotate_size = "1MiB" },
}
