#!/usr/bin/python3
"""
bench_durable.py BUILD [DISK] - what -o durable costs, on a disk: a table

What is measured is what callers wait for, most of it the disk; so one more row says what an fsync of 4 KiB takes there.
"""
import os
import sys

from server import ROUNDS, Server, compare, dump_lines

BUILD = os.path.abspath(sys.argv[1])
DISK = (sys.argv[2:] + [os.environ.get("TMPDIR", "/var/tmp")])[0]
FEW = min(ROUNDS, 31)
ENTRIES = 10000
LINES = dump_lines(ENTRIES)


def make_and_remove(s):
    s.make_map("new", 1000)
    s.remove("maps/new")


def held(s):
    os.pwrite(s.fd, b"8\n", 0)


def dump(s):
    s.write("maps/kept/dump", LINES)


def plain(s):
    os.pwrite(s.plain, bytes(4096), 0)
    os.fsync(s.plain)


modes = ["none", "close", "each"]
servers = [Server(BUILD, DISK, "durable=" + mode) for mode in modes]
for server in servers:
    server.make_map("kept", ENTRIES)
    server.update()
    server.fd = os.open(server.m + "/maps/kept/entries/7", os.O_WRONLY)
    server.plain = os.open(DISK, os.O_TMPFILE | os.O_RDWR)
compare(servers, modes, (
    ("load an object and remove it", Server.load_and_remove, 1, FEW),
    ("make a map and remove it", make_and_remove, 1, FEW),
    ("pin and unpin", Server.pin_and_unpin, 1, FEW),
    ("open, write, close of `entries/7`", Server.update, 5, FEW),
    ("write to an open `entries/7`", held, 5, FEW),
    ("write a `dump` of %d entries" % ENTRIES, dump, 1, FEW),
    ("open, read, close of `entries/7`", Server.read_value, 20, FEW),
    ("(a plain file: write 4 KiB and fsync)", plain, 1, FEW)))
