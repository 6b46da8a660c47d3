#!/usr/bin/env python3
"""Shows that the models can fail: weakens the engine in one place at a time and runs them.

    python3 loom-tests/mutants.py [--tree DIR] [--timeout SECONDS] [NAME ..]

Copies the repository to a temporary directory, applies each mutant of `mutants.toml` in turn, runs
the models that are to notice, and prints a table. A mutant is killed by a model that fails, or that
does not end in time. The exit status is 0 if each mutant ended as the table in `mutants.toml` says.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent


def copy(tree, to):
    """Copies what a build needs."""
    skip = shutil.ignore_patterns("target", ".git", "*.sqlite", "*.csv", "*.gz")
    shutil.copytree(tree, to, ignore=skip, symlinks=True)


def mutate(tree, mutant):
    """Applies a mutant; returns how to take it back, or None if its text is not there just once."""
    path = tree / mutant["file"]
    before = path.read_text()
    if before.count(mutant["old"]) != 1:
        return None
    path.write_text(before.replace(mutant["old"], mutant["new"]))
    return lambda: path.write_text(before)


def run(tree, target, models, timeout):
    """Runs these files of models: how the first that fails does, or None."""
    for model in models:
        name, _, only = model.partition("::")
        command = ["cargo", "test", "-q", "--offline", "-p", "loom-tests", "--test", name, "--"]
        command += [only] if only else []
        environment = dict(os.environ, CARGO_TARGET_DIR=str(target), RUST_BACKTRACE="0")
        try:
            done = subprocess.run(
                command, cwd=tree, env=environment, timeout=timeout, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
            )
        except subprocess.TimeoutExpired:
            return f"{name}: no end in {timeout} s"
        if done.returncode != 0:
            if "could not compile" in done.stdout:
                print(done.stdout, file=sys.stderr)
                return "DOES NOT COMPILE"
            failed = re.findall(r"^thread '([\w:]+)'.*panicked", done.stdout, re.MULTILINE)
            return f"{name}::{failed[0]}" if failed else f"{name}: aborted"
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--tree", type=pathlib.Path, default=HERE.parent)
    options.add_argument("--target", type=pathlib.Path)
    options.add_argument("--timeout", type=int, default=400)
    options.add_argument("names", nargs="*", metavar="NAME")
    chosen = options.parse_args()
    mutants = tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]
    if chosen.names:
        mutants = [mutant for mutant in mutants if mutant["name"] in chosen.names]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        tree = pathlib.Path(scratch) / "tree"
        target = chosen.target or pathlib.Path(scratch) / "target"
        copy(chosen.tree, tree)
        build = ["cargo", "test", "-q", "--offline", "-p", "loom-tests", "--no-run"]
        subprocess.run(build, cwd=tree, env=dict(os.environ, CARGO_TARGET_DIR=str(target)), check=True)
        print("| mutant | file | result | by |\n|---|---|---|---|")
        for mutant in mutants:
            start = time.monotonic()
            restore = mutate(tree, mutant)
            if restore is None:
                result, by = "NOT FOUND", ""
            else:
                by = run(tree, target, mutant["models"], chosen.timeout) or ""
                result = "killed" if by and "COMPILE" not in by else by or "survived"
                restore()
            expected = "survived" if "survives" in mutant else "killed"
            wrong += result != expected
            by = mutant["survives"] if result == expected == "survived" else by
            print(f"| {mutant['name']} | `{mutant['file']}` | {result} | {by} |", flush=True)
            print(f"{mutant['name']}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    print(f"\n{len(mutants)} mutants, {wrong} not as expected")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
