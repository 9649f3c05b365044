#!/usr/bin/python3
"""
bench_start.py BUILD [PARENT] - what a start costs that finds many objects: a table

A state is made once a row; the server is ended and started on it again. "First answer" is from exec(2) until the mount
is there and progs/ is listed; "a map's info" until one map's file was read, too; "all read back" until nothing sleeps
any more.
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
PARENT = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("TMPDIR", "/var/tmp")
ROUNDS = min(int(os.environ.get("BENCH_ROUNDS", 101)), 11)


class Server:
    def __init__(self):
        self.state = tempfile.mkdtemp(prefix="ubpffs-bench-", dir=PARENT)
        self.m = tempfile.mkdtemp(prefix="ubpffs-bench-")
        self.device = os.stat(self.m).st_dev
        self.start()

    def start(self):
        begin = time.perf_counter()
        self.proc = subprocess.Popen([BUILD + "/ubpffs", "-f", "-o", "state=" + self.state, self.m],
                                     stderr=subprocess.DEVNULL)
        while os.stat(self.m).st_dev == self.device:
            if self.proc.poll() is not None:
                sys.exit("bench_start: the server does not start")
            time.sleep(0.0005)
        os.listdir(self.m + "/progs")
        first = time.perf_counter()
        info = os.path.join(self.m, "maps", "m0", "info")
        if os.path.exists(info):
            with open(info) as f:
                f.read()
        return begin, first, time.perf_counter()

    def asleep(self):
        with open(self.m + "/status") as f:
            return "asleep: 0\n" not in f.readlines()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait()

    def end(self):
        self.stop()
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
            self.write("maps/%s/%s" % (name, attr), str(value).encode())

    def fill(self, n, large):
        for i in range(n):
            self.write("progs/new", OBJECT)  # all use one map by name
            os.rename(self.m + "/progs/shared_a", "%s/progs/p%d" % (self.m, i))
            self.make_map("m%d" % i, 100)
        if large:
            self.make_map("large", large)
            self.write("maps/large/dump", b"".join(b"%d %d\n" % (i, i) for i in range(large)))


with open(BUILD + "/tests/progs/shared_map_a.bpf.o", "rb") as f:
    OBJECT = f.read()
print("| programs and maps | first answer, ms | a map's info, ms | all read back, ms |\n| --- | ---: | ---: | ---: |")
for n, large in (1000, 1000000), (10000, 0):
    server = Server()
    try:
        server.fill(n, large)
        samples = []
        for _ in range(ROUNDS):
            server.stop()
            begin, first, one = server.start()
            while server.asleep():
                time.sleep(0.005)
            samples.append([(t - begin) * 1e3 for t in (first, one, time.perf_counter())])
        medians = [statistics.median(s) for s in zip(*samples)]
        print("| %s of each%s | %.0f | %.0f | %.0f |" % (format(n, ","), ", a map of a million entries" if large else "", *medians))
    finally:
        server.end()
