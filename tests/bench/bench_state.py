#!/usr/bin/python3
"""
bench_state.py BUILD [DISK [TMPFS]] - what a state on disk costs beside one on tmpfs: a table

A server each; the two take turns at every sample, medians. Nothing is synced: what is measured is what callers wait for.
"""
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.path.abspath(sys.argv[1])
PARENTS = (sys.argv[2:] + [os.environ.get("TMPDIR", "/var/tmp"), "/dev/shm"][len(sys.argv) - 2:])[:2]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 101))
ENTRIES = 100000


class Server:
    def __init__(self, parent):
        self.state = tempfile.mkdtemp(prefix="ubpffs-bench-", dir=parent)
        self.m = tempfile.mkdtemp(prefix="ubpffs-bench-")
        self.start()

    def start(self):
        self.proc = subprocess.Popen([os.path.join(BUILD, "ubpffs"), "-f", "-o", "state=" + self.state, self.m],
                                     stderr=subprocess.DEVNULL)
        while not os.path.exists(self.m + "/version"):
            if self.proc.poll() is not None:
                sys.exit("bench_state: the server does not start")
            time.sleep(0.002)

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait()
        shutil.rmtree(self.state)
        os.rmdir(self.m)

    def write(self, name, data):
        fd = os.open(self.m + "/" + name, os.O_WRONLY | os.O_CREAT)
        try:
            while data:
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)

    def make_map(self, name, entries):
        os.mkdir("%s/maps/%s" % (self.m, name))
        for attr, value in ("type", "hash"), ("key_size", 4), ("value_size", 8), ("max_entries", entries):
            self.write("maps/%s/%s" % (name, attr), b"%s" % str(value).encode())

    def remove(self, name):
        path = self.m + "/" + name
        os.unlink(path + ("/prog" if name.startswith("progs") else "/map"))
        os.rmdir(path)

    # ---- what is measured

    def load(self):
        self.write("progs/new", OBJECT)
        self.remove("progs/traffic")

    def new_map(self):
        self.make_map("big", 1000000)
        self.remove("maps/big")

    def pin(self):
        os.link(self.m + "/maps/kept/map", self.m + "/pin")
        os.unlink(self.m + "/pin")

    def update(self):
        self.write("maps/kept/entries/7", b"8")

    def fill(self):
        self.make_map("filled", ENTRIES)
        self.write("maps/filled/dump", LINES)
        self.remove("maps/filled")

    def restart(self):
        self.proc.kill()
        self.proc.wait()
        subprocess.run(["umount", "-l", self.m], stderr=subprocess.DEVNULL) if not os.geteuid() else \
            subprocess.run(["fusermount3", "-uz", self.m])
        self.start()


def sample(server, what, times):
    begin = time.perf_counter()
    for _ in range(times):
        what(server)
    return (time.perf_counter() - begin) / times * 1e6


with open(BUILD + "/examples/traffic.bpf.o", "rb") as f:
    OBJECT = f.read()
LINES = b"".join(b"%d %d\n" % (i, i) for i in range(ENTRIES))
servers = [Server(p) for p in PARENTS]
kind = [subprocess.run(["stat", "-f", "-c", "%T", p], capture_output=True, text=True).stdout.strip() for p in PARENTS]
try:
    print("| operation | %s, us | %s, us | |\n| --- | ---: | ---: | ---: |" % tuple(kind))
    for s in servers:
        s.make_map("kept", 1000)
    for name, what, times, rounds in (
            ("load an object and remove it", Server.load, 1, ROUNDS),
            ("make a map of a million entries and remove it", Server.new_map, 1, ROUNDS),
            ("pin and unpin", Server.pin, 20, ROUNDS),
            ("open, write, close of `entries/7`", Server.update, 20, ROUNDS),
            ("make a map, write a `dump` of %d entries, remove it" % ENTRIES, Server.fill, 1, min(ROUNDS, 11)),
            ("kill -9 and start again", Server.restart, 1, min(ROUNDS, 11))):
        times_of = [[], []]
        for _ in range(rounds):
            for i, s in enumerate(servers):
                times_of[i].append(sample(s, what, times))
        disk, tmpfs = (statistics.median(t) for t in times_of)
        print("| %s | %.1f | %.1f | %.2f |" % (name, disk, tmpfs, disk / tmpfs))
finally:
    for s in servers:
        s.end()
