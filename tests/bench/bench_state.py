#!/usr/bin/python3
"""
bench_state.py BUILD [DISK [TMPFS]] - what a state on disk costs beside one on tmpfs: a table

Nothing is synced: what is measured is what callers wait for.
"""
import os
import subprocess
import sys

from server import ROUNDS, Server, compare, dump_lines

BUILD = os.path.abspath(sys.argv[1])
PARENTS = (sys.argv[2:] + [os.environ.get("TMPDIR", "/var/tmp"), "/dev/shm"][len(sys.argv) - 2:])[:2]
ENTRIES = 100000
LINES = dump_lines(ENTRIES)


def new_map(s):
    s.make_map("big", 1000000)
    s.remove("maps/big")


def fill(s):
    s.make_map("filled", ENTRIES)
    s.write("maps/filled/dump", LINES)
    s.remove("maps/filled")


servers = [Server(BUILD, p) for p in PARENTS]
kinds = [subprocess.run(["stat", "-f", "-c", "%T", p], capture_output=True, text=True).stdout.strip() for p in PARENTS]
for server in servers:
    server.make_map("kept", 1000)
compare(servers, kinds, (
    ("load an object and remove it", Server.load_and_remove, 1, ROUNDS),
    ("make a map of a million entries and remove it", new_map, 1, ROUNDS),
    ("pin and unpin", Server.pin_and_unpin, 20, ROUNDS),
    ("open, write, close of `entries/7`", Server.update, 20, ROUNDS),
    ("make a map, write a `dump` of %d entries, remove it" % ENTRIES, fill, 1, min(ROUNDS, 11)),
    ("kill -9 and start again", Server.restart, 1, min(ROUNDS, 11))))
