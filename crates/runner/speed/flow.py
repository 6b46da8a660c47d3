"""The same job as a dataflow of bytewax."""

import json
import sys

import bytewax.operators as op
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow

rows, out = sys.argv[1], sys.argv[2]
fields = ("carrier", "flight", "origin", "dest", "dep_delay")


def is_late(row):
    delay = row.get("dep_delay")
    return delay is not None and delay > 30 and row["carrier"] == "UA"


flow = Dataflow("speed")
lines = op.input("lines", flow, FileSource(rows))
parsed = op.map("parse", lines, json.loads)
late = op.filter("late", parsed, is_late)
kept = op.map("select", late, lambda row: json.dumps({name: row[name] for name in fields}))
keyed = op.map("key", kept, lambda text: ("all", text))
op.output("out", keyed, FileSink(out))

if __name__ == "__main__":
    from bytewax.testing import run_main

    run_main(flow)
