"""
Servers that are compared: each with its own mount and state, taking turns at every sample.
"""
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get("BENCH_ROUNDS", 101))


class Server:
    def __init__(self, build, parent, *options):
        self.build = build
        self.options = options
        self.state = tempfile.mkdtemp(prefix="ubpffs-bench-", dir=parent)
        self.m = tempfile.mkdtemp(prefix="ubpffs-bench-")
        with open(build + "/examples/traffic.bpf.o", "rb") as f:
            self.object = f.read()
        self.start()

    def start(self):
        options = ",".join(("keeper=off,state=" + self.state,) + self.options)
        self.proc = subprocess.Popen([os.path.join(self.build, "ubpffs"), "-f", "-o", options, self.m],
                                     stderr=subprocess.DEVNULL)
        while not os.path.exists(self.m + "/version"):
            if self.proc.poll() is not None:
                sys.exit("the server does not start")
            time.sleep(0.002)

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait()
        shutil.rmtree(self.state)
        os.rmdir(self.m)

    def restart(self):
        self.proc.kill()
        self.proc.wait()
        subprocess.run(["umount", "-l", self.m], stderr=subprocess.DEVNULL) if not os.geteuid() else \
            subprocess.run(["fusermount3", "-uz", self.m])
        self.start()

    def read(self, name):
        fd = os.open(self.m + "/" + name, os.O_RDONLY)
        try:
            return os.read(fd, 65536)
        finally:
            os.close(fd)

    def write(self, name, data):
        fd = os.open(self.m + "/" + name, os.O_WRONLY | os.O_CREAT)
        try:
            while data:
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)

    def make_map(self, name, entries, map_type="hash", flags=0):
        os.mkdir("%s/maps/%s" % (self.m, name))
        for attr, value in (("type", map_type), ("key_size", 4), ("value_size", 8), ("map_flags", flags),
                            ("max_entries", entries)):
            self.write("maps/%s/%s" % (name, attr), b"%s" % str(value).encode())

    def remove(self, name):
        path = self.m + "/" + name
        os.unlink(path + ("/prog" if name.startswith("progs") else "/map"))
        os.rmdir(path)

    # What benches measure; those of a map are of maps/kept, which they make.

    def load(self):
        self.write("progs/new", self.object)

    def load_and_remove(self):
        self.load()
        self.remove("progs/traffic")

    def pin_and_unpin(self):
        os.link(self.m + "/maps/kept/map", self.m + "/pin")
        os.unlink(self.m + "/pin")

    def update(self):
        self.write("maps/kept/entries/7", b"8")

    def read_value(self):
        self.read("maps/kept/entries/7")


def dump_lines(entries):
    """What a `dump` of a map of so many takes."""
    return b"".join(b"%d %d\n" % (i, i) for i in range(entries))


def sample(server, what, times):
    begin = time.perf_counter()
    for _ in range(times):
        what(server)
    return (time.perf_counter() - begin) / times * 1e6


def compare(servers, names, rows):
    """
    A table of medians; a row is (name, function of a server, times a sample, rounds). Of two servers the last column is how the
    first compares with the second. Ends the servers.
    """
    two = len(servers) == 2
    try:
        print("| operation |%s%s" % ("".join(" %s, us |" % name for name in names), " |" * two))
        print("| --- |" + " ---: |" * (len(names) + two))
        for name, what, times, rounds in rows:
            times_of = [[] for _ in servers]
            for _ in range(rounds):
                for i, server in enumerate(servers):
                    times_of[i].append(sample(server, what, times))
            medians = [statistics.median(t) for t in times_of]
            last = " %.2f |" % (medians[0] / medians[1]) if two else ""
            print("| %s |%s%s" % (name, "".join(" %.1f |" % m for m in medians), last))
    finally:
        for server in servers:
            server.end()
