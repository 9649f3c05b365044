#!/usr/bin/python3
"""
bench_durable.py BUILD [DISK] - what -o durable costs, on a disk: a table

What is measured is what callers wait for, most of it the disk; so one more row says what an fsync of 4 KiB takes there.
"""
import os
import sys

from server import ROUNDS, Server, compare

BUILD = os.path.abspath(sys.argv[1])
DISK = (sys.argv[2:] + [os.environ.get("TMPDIR", "/var/tmp")])[0]
FEW = min(ROUNDS, 31)
ENTRIES = 10000

with open(BUILD + "/examples/traffic.bpf.o", "rb") as f:
    OBJECT = f.read()
LINES = b"".join(b"%d %d\n" % (i, i) for i in range(ENTRIES))


def load(s):
    s.write("progs/new", OBJECT)
    s.remove("progs/traffic")


def make_and_remove(s):
    s.make_map("new", 1000)
    s.remove("maps/new")


def pin(s):
    os.link(s.m + "/maps/kept/map", s.m + "/pin")
    os.unlink(s.m + "/pin")


def update(s):
    s.write("maps/kept/entries/7", b"8")


def held(s):
    os.pwrite(s.fd, b"8\n", 0)


def dump(s):
    s.write("maps/kept/dump", LINES)


def read(s):
    s.read("maps/kept/entries/7")


def plain(s):
    os.pwrite(s.plain, bytes(4096), 0)
    os.fsync(s.plain)


modes = ["none", "close", "each"]
servers = [Server(BUILD, DISK, "durable=" + mode) for mode in modes]
for server in servers:
    server.make_map("kept", ENTRIES)
    update(server)
    server.fd = os.open(server.m + "/maps/kept/entries/7", os.O_WRONLY)
    server.plain = os.open(DISK, os.O_TMPFILE | os.O_RDWR)
compare(servers, modes, (
    ("load an object and remove it", load, 1, FEW),
    ("make a map and remove it", make_and_remove, 1, FEW),
    ("pin and unpin", pin, 1, FEW),
    ("open, write, close of `entries/7`", update, 5, FEW),
    ("write to an open `entries/7`", held, 5, FEW),
    ("write a `dump` of %d entries" % ENTRIES, dump, 1, FEW),
    ("open, read, close of `entries/7`", read, 20, FEW),
    ("(a plain file: write 4 KiB and fsync)", plain, 1, FEW)))
