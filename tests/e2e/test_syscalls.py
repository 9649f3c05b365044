"""
What the server asks of the kernel for one request: what was resolved stays resolved. Counts, with room; no time.
"""
import collections
import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import threading

import pytest
from conftest import WAIT, needs_root, wait_for

# Threads that sleep and look, the server's and a sanitizer's: as often as time passes.
TICKS = "nanosleep", "clock_nanosleep", "gettimeofday", "restart_syscall"


class Trace:
    """The server's system calls while this is entered, by name."""

    def __init__(self, m):
        if not shutil.which("strace"):
            pytest.skip("strace is not here")
        self.pid = m.server()
        self.out = os.path.join(m.base, "trace")

    def __enter__(self):
        self.strace = subprocess.Popen(["strace", "-f", "-o", self.out, "-p", str(self.pid)], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.strace.stderr.readline()
        if "attached" not in line:
            self.strace.kill()
            self.strace.wait(WAIT)
            pytest.skip("strace may not attach: " + line.strip())
        threading.Thread(target=self.strace.stderr.read, daemon=True).start()
        wait_for(self.all_traced, "strace")
        return self

    def all_traced(self):
        tracers = []
        for tid in os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/status" % (self.pid, tid)) as f:
                tracers.append(re.search(r"TracerPid:\s*(\d+)", f.read()).group(1))
        return "0" not in tracers

    def __exit__(self, *unused):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(WAIT)
        with open(self.out) as f:
            calls = (re.match(r"\d+ +(\w+)\(", line) for line in f)
            self.calls = collections.Counter(c.group(1) for c in calls if c)

    def looks(self):
        """At files of the state directory, by name."""
        return sum(self.calls[c] for c in ("newfstatat", "fstatat64", "statx", "openat", "faccessat2", "readlinkat"))


def make_map(m):
    m.sh("mkdir $M/maps/m; cd $M/maps/m; echo hash > type; echo 4 > key_size; echo 8 > value_size;"
         "echo 100 > max_entries; echo 7 > entries/3")


def test_a_directory_of_a_map(m):
    """No look at the state directory a file: the directory knows its object, and that its attributes."""
    make_map(m)
    fd = os.open(m.p("maps", "m"), os.O_RDONLY)
    names = os.listdir(fd)
    with Trace(m) as trace:
        for name in names:
            os.stat(name, dir_fd=fd, follow_symlinks=False)
    os.close(fd)
    assert len(names) > 8
    assert trace.looks() < len(names) // 2, trace.calls


def test_a_listing_by_path(m):
    """As ls -l goes about it: each file from the directory's name on, which is known by now."""
    make_map(m)
    names = os.listdir(m.p("maps", "m"))
    os.stat(m.p("maps", "m", "type"))
    with Trace(m) as trace:
        for name in names:
            os.lstat(m.p("maps", "m", name))
    assert trace.looks() < 8, trace.calls


def test_an_entry(m):
    make_map(m)
    fd = os.open(m.p("maps", "m", "entries"), os.O_RDONLY)
    with Trace(m) as trace:
        for _ in range(20):
            file = os.open("3", os.O_RDWR, dir_fd=fd)
            assert os.read(file, 100) == b"7\n"
            os.pwrite(file, b"7\n", 0)
            os.close(file)
    os.close(fd)
    assert trace.looks() < 10, trace.calls


def test_an_ioctl(m):
    """A request is read, and its answer written."""
    make_map(m)
    fd = os.open(m.p("maps", "m", "map"), os.O_RDWR)
    lookup = 3 << 30 | 64 << 16 | 0xbf << 8 | 1
    with Trace(m) as trace:
        for _ in range(100):
            buf = bytearray(struct.pack("QQQIIIII", 0, 0, 0, 4, 8, 0, 0, 3) + bytes(20))
            fcntl.ioctl(fd, lookup, buf)
            assert buf[40:48] == struct.pack("Q", 7)
    os.close(fd)
    assert trace.looks() == 0, trace.calls
    assert sum(n for c, n in trace.calls.items() if c not in TICKS) < 260, trace.calls


def test_removing_a_program(m):
    """Its map goes with it, at the same cost beside two others and beside forty."""
    def load(name):
        m.load("count_ports")
        m.sh("cd $M; mv progs/count_ports progs/%s; mv maps/by_proto maps/%s; mv maps/by_port maps/%s.p" % ((name,) * 3))

    def remove(name):
        with Trace(m) as trace:
            os.unlink(m.p("progs", name, "prog"))
            os.rmdir(m.p("progs", name))
        return trace

    for i in range(3):
        load("a%d" % i)
    few = remove("a0")
    for i in range(40):
        load("b%d" % i)
    many = remove("a1")
    assert "a1" not in m.names()[1] and "a2" in m.names()[1]
    assert many.looks() < few.looks() + 8, (few.calls, many.calls)


def test_a_start(m):
    """Each file of objects/ is looked at and opened once at the start, and once when it is read back."""
    needs_root("mounts while it is traced: to others fusermount3 is not setuid then")
    if subprocess.run("strace -D -o /dev/null true", shell=True, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("strace is not here, or may not trace")
    m.load("count_ports")
    make_map(m)
    m.umount()
    out, argv = os.path.join(m.base, "trace"), m.argv
    m.argv = lambda *options: ["strace", "-D", "-f", "-o", out, "-e", "trace=newfstatat,openat",
                               "-E", "ASAN_OPTIONS=exitcode=99:detect_leaks=0"] + argv(*options)  # LSan would trace, too
    m.start()
    m.argv, pid = argv, m.server()
    m.umount()

    def text():
        with open(out) as f:
            return f.read()

    wait_for(lambda: re.search(r"^%d +\+\+\+ exited" % pid, text(), re.M), "strace")  # numbers are padded
    seen = collections.Counter(re.findall(r'(newfstatat|openat)\(\d+, "(\d+)"', text()))
    ids = sorted(int(name) for name in m.objects() if name.isdigit())
    assert len(ids) == 4
    for i in ids:
        assert seen["openat", str(i)] <= 2, seen
        # A program of a load is looked at before, for whose maps go with it.
        assert seen["newfstatat", str(i)] <= 3, seen
