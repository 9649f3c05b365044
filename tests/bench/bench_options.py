#!/usr/bin/python3
"""
bench_options.py BUILD sandbox|keeper - what that costs, beside a server with -o sandbox=off or keeper=off: a table
"""
import os
import sys

from server import ROUNDS, Server, compare

BUILD = os.path.abspath(sys.argv[1])
BPF_F_MMAPABLE = 1 << 10


def stat(s):
    os.stat(s.m + "/maps/kept/entries/7")


def pread(s):
    os.pread(s.fd, 64, 0)


def run(s):
    fd = os.open(s.m + "/progs/traffic/run", os.O_RDWR)
    try:
        os.write(fd, bytes(64))
        os.read(fd, 4096)
    finally:
        os.close(fd)


def reload(s):
    s.remove("progs/traffic")
    s.load()


def open_memory(s):
    """The first open of a map that can be mapped: the mounter gives its file to the kernel (root's server)."""
    s.make_map("mapped", 512, "array", BPF_F_MMAPABLE)
    os.close(os.open(s.m + "/maps/mapped/map", os.O_RDWR))
    s.remove("maps/mapped")


WHAT = sys.argv[2]
servers = [Server(BUILD, "/dev/shm", WHAT + "=on"), Server(BUILD, "/dev/shm", WHAT + "=off")]
for server in servers:
    server.make_map("kept", 1000)
    server.update()
    server.load()
    server.fd = os.open(server.m + "/maps/kept/entries/7", os.O_RDONLY)
compare(servers, ("with", "without"), (
    ("read of an open value", pread, 200, ROUNDS),
    ("stat of `entries/7`", stat, 100, ROUNDS),
    ("open, read, close of it", Server.read_value, 50, ROUNDS),
    ("open, write, close of it", Server.update, 50, ROUNDS),
    ("open, write, read, close of `run`", run, 20, ROUNDS),
    ("pin and unpin", Server.pin_and_unpin, 20, ROUNDS),
    ("make a map that can be mapped, open it, remove it", open_memory, 5, ROUNDS),
    ("remove an object's program and load it", reload, 1, ROUNDS),
    *([("kill -9 and start again", Server.restart, 1, min(ROUNDS, 11))] if WHAT == "sandbox" else [])))
