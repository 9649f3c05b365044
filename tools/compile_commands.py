"""Compile commands on standard input (make -n V=1) to compile_commands.json on standard output."""
import json
import os
import shlex
import sys

entries = []
for line in sys.stdin.read().replace("\\\n", " ").splitlines():
    try:
        words = shlex.split(line)
    except ValueError:
        continue
    if "-c" in words and words[words.index("-c") + 1].endswith(".c") and "bpf" not in words[1:3]:
        entries.append({"directory": os.getcwd(), "arguments": words, "file": words[words.index("-c") + 1]})
json.dump(entries, sys.stdout, indent=1)
