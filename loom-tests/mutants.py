#!/usr/bin/env python3
"""Shows that the models can fail: weakens the engine in one place at a time and runs them.

    python3 loom-tests/mutants.py [--each-model] [--tree DIR] [--timeout SECONDS] [NAME ..]

Copies the repository to a temporary directory, applies each mutant of `mutants.toml` in turn, runs
the models that are to notice, and prints a table. A mutant is killed by a model that fails, or that
does not end in time. The exit status is 0 if each mutant ended as the table in `mutants.toml` says.

With `--each-model` it asks the other way round, whether each model can fail: each mutant is tried on
every model of the files named with it that no mutant before has made fail. The exit status is 0 if
none is left. A model that does not end in time does not count.
"""

import argparse
import concurrent.futures
import json
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


def models_of(tree, target, files):
    """Builds these files of models: the program of each, and its models but for those ignored."""
    command = ["cargo", "test", "-q", "--offline", "-p", "loom-tests", "--no-run", "--message-format=json"]
    command += [word for name in files for word in ("--test", name)]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(target))
    built = subprocess.run(command, cwd=tree, env=environment, text=True, check=True, stdout=subprocess.PIPE)
    models = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        program = message.get("executable")
        if not program or message["target"]["name"] not in files:
            continue
        listed = subprocess.run([program, "--list"], text=True, check=True, stdout=subprocess.PIPE).stdout
        ignored = subprocess.run([program, "--list", "--ignored"], text=True, check=True, stdout=subprocess.PIPE).stdout
        names = set(re.findall(r"^(\w+): test$", listed, re.MULTILINE))
        names -= set(re.findall(r"^(\w+): test$", ignored, re.MULTILINE))
        models[message["target"]["name"]] = (program, names)
    return models


def fails(program, model, timeout):
    """Whether a model fails, in a process of its own."""
    try:
        done = subprocess.run(
            [program, "--exact", model], timeout=timeout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, RUST_BACKTRACE="0"),
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode != 0


def each_model(tree, target, mutants, timeout):
    """Looks for a mutant that makes each model fail; prints them, and returns how many have none."""
    by = {}
    for mutant in mutants:
        files = list(dict.fromkeys(model.partition("::")[0] for model in mutant["models"]))
        restore = None if "survives" in mutant else mutate(tree, mutant)
        if restore is None:
            continue
        left = []
        for file, (program, models) in models_of(tree, target, files).items():
            left += [(program, file, model) for model in sorted(models) if (file, model) not in by]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            failed = pool.map(lambda one: fails(one[0], one[2], timeout), left)
            by |= {(file, model): mutant["name"] for (_, file, model), one in zip(left, failed) if one}
        restore()
        print(f"{mutant['name']}: {len(by)} models", file=sys.stderr, flush=True)
    files = sorted(path.stem for path in (tree / "loom-tests" / "tests").glob("*.rs"))
    everything = [(file, model) for file, (_, models) in models_of(tree, target, files).items() for model in models]
    print("| model | fails with |\n|---|---|")
    for file, model in sorted(everything):
        print(f"| `{file}::{model}` | {by.get((file, model), 'NOTHING')} |")
    return len(set(everything) - set(by))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--tree", type=pathlib.Path, default=HERE.parent)
    options.add_argument("--target", type=pathlib.Path)
    options.add_argument("--timeout", type=int, default=400)
    options.add_argument("--each-model", action="store_true")
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
        if chosen.each_model:
            return min(each_model(tree, target, mutants, chosen.timeout), 1)
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
