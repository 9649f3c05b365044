#!/usr/bin/python3
"""
fuzz_users.py - two users at once do to a server whatever calls can do (root)

    fuzz_users.py [-seconds 60] [-seed S] [-calls N]        UBPFFS_BUILD: the build directory; best a sanitized one

Each user is a process with a random generator of its own (seed and uid), which makes valid objects, commands, lines and names
and then spoils some of them: sizes, counts, ids, cursors, offsets, flags of open. A third user's map, program and pin, 0600,
are among what they aim at. It fails, with the seed and each user's last calls, when
  - the server ends, or a sanitizer reports something, also at the end;
  - a call takes longer than PATIENCE, or gives an errno that is none (the kernel's own begin at 512);
  - the third user's value is changed, shown to somebody else, or its program has run, also after a restart;
  - a user's log holds what only the other one wrote.
With -calls both stop after that many calls: what a test can afford.
"""
import contextlib
import ctypes
import fcntl
import mmap
import os
import random
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import commands as c  # noqa: E402
import rounds  # noqa: E402
from conftest import SLOW, USERS, obj, stacks  # noqa: E402

PATIENCE = 30 * SLOW  # seconds for one call
OWNER = 2  # the third user
SECRET = b"\xc5\x3a\x91\x5e\xc7\xe7\x0f\xee\x77\x1d\x42\x99\xab\xba\xd0\x0d"
SECRET_TEXT = SECRET.hex(" ").encode()
TAGS = {USERS[0]: b"tagofthefirst", USERS[1]: b"tagofthesecond"}

libc = ctypes.CDLL(None, use_errno=True)
OBJECTS = ("count_ports", "tail_calls", "cgroup_verdicts", "global_data", "map_in_map", "ringbuf", "callbacks", "dynptr",
           "reject_null_check", "spin_lock", "xdp_rewrite", "perf_output", "cgroup_storage", "json_types")
TYPES = {  # key_size, value_size, max_entries, flags
    "hash": (4, 8, 8, 0), "array": (4, 8, 8, 0), "prog_array": (4, 4, 4, 0), "perf_event_array": (4, 4, 2, 0),
    "percpu_hash": (4, 8, 8, 0), "percpu_array": (4, 8, 8, 0), "stack_trace": (4, 64, 8, 0), "lru_hash": (4, 8, 8, 0),
    "lru_percpu_hash": (4, 8, 8, 0), "lpm_trie": (8, 8, 8, 1), "array_of_maps": (4, 4, 4, 0), "hash_of_maps": (4, 4, 4, 0),
    "queue": (0, 8, 4, 0), "stack": (0, 8, 4, 0), "ringbuf": (0, 0, 4096, 0), "bloom_filter": (0, 8, 8, 0),
    "cgroup_storage": (16, 8, 0, 0), "percpu_cgroup_storage": (8, 8, 0, 0),
    "devmap": (4, 8, 8, 0), "devmap_hash": (4, 4, 8, 0), "cpumap": (4, 8, 8, 0), "xskmap": (4, 4, 8, 0)}
NUMBERS = {"hash": 1, "array": 2, "prog_array": 3, "perf_event_array": 4, "percpu_hash": 5, "percpu_array": 6, "stack_trace": 7,
           "lru_hash": 9, "lru_percpu_hash": 10, "lpm_trie": 11, "array_of_maps": 12, "hash_of_maps": 13,
           "cgroup_storage": 19, "percpu_cgroup_storage": 21, "queue": 22, "stack": 23, "ringbuf": 27, "bloom_filter": 30,
           "devmap": 14, "cpumap": 16, "xskmap": 17, "devmap_hash": 25}
ODD = (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 40, 63, 64, 127, 128, 255, 256, 257, 511, 512, 4095, 4096, 4097, 16343, 16383, 65535,
       65536, 1 << 20, (1 << 26) - 1, 1 << 26, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, 1 << 40,
       (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NASTY = (b".", b"..", b"../..", b"%s%n%p", b"x" * 255, b"x" * 256, b"\xff\xfe", b"a b", b"a\nb", b"-1", b"0", b"0x0", b"007",
         b"new", b"log", b"map", b"prog", b".map", b".def", b"4294967296", b"\x01", b"*", b"~", b"e\xcc\x81", b"fifo")
PATHS = (b"/etc/shadow", b"/proc/self/fd/3", b"/proc/self/mem", b"/dev/zero", b"/dev/null", b"/", b"", b"x" * 4096,
         b"../../x", b"maps/canary", b"maps/canary/map", b"progs/canary", b"own/pin", b"own", b"d0/l", b"d1/l", b"m0", b"maps/m0")
FILES = {
    "maps": (b"type", b"key_size", b"value_size", b"max_entries", b"map_flags", b"inner_map", b"info", b"stats", b"dump",
             b"dump.json", b"raw", b"map", b"mem", b"push", b"pop", b".pop", b"peek", b"has", b"records", b".records", b"symbols",
             b"consumer", b"ring", b"entries", b"entries/0", b"entries/1", b"entries/00000000"),
    "progs": (b"prog", b"info", b"xlated", b"jited", b"log", b"run", b"stats"),
    "cgroup": (b"ingress.attach", b"egress.attach", b"ingress.effective", b"egress.effective", b"ingress.run", b"egress.run",
               b"cgroup.procs", b"stats"),
    "events": (b"type", b"event", b"pid", b"freq", b"period", b"unwind", b"file", b"interface", b"filter", b"out",
               b"interval_ms", b"attach", b"stats")}
TOP = (b"README", b"version", b"features", b"log", b"metrics", b"status", b"trace_pipe", b"ctl", b".event", b"progs/new", b"progs/log",
       b"ids/map",
       b"ids/prog", b"ids/link", b"limits", b"limits/default", b"")
OPEN_FLAGS = (os.O_TRUNC, os.O_APPEND, os.O_EXCL, os.O_CREAT, os.O_DIRECTORY, os.O_NOFOLLOW, os.O_PATH, os.O_SYNC, os.O_DIRECT,
              os.O_TMPFILE, os.O_NOATIME)


class Late(Exception):
    """The alarm: a call that may wait has waited long enough for us."""


class Broken(Exception):
    """What must never be was seen."""


def on_alarm(*_):
    raise Late()


class User:
    """One uid's calls. `says(text)` tells the parent what is tried now."""

    def __init__(self, m, uid, seed, says):
        self.rng = random.Random("%d.%d" % (seed, uid))
        self.m, self.uid, self.says = m.path.encode(), uid, says
        self.tag, self.other = TAGS[uid], TAGS[USERS[uid == USERS[0]]]
        self.fds = []
        self.tokens = []
        self.objects = {name: obj(name) for name in OBJECTS}
        self.calls = 0

    # ---- choices

    def chance(self, of):
        return not self.rng.randrange(of)

    def pick(self, what):
        return self.rng.choice(tuple(what))

    def size(self, likely):
        return likely if not self.chance(4) else self.pick(ODD)

    def spoil(self, data, of=3):
        """Bytes that are changed, cut, doubled or left alone."""
        data = bytearray(data)
        while self.chance(of):
            how = self.rng.randrange(5)
            at = self.rng.randrange(len(data) + 1)
            if how == 0 and at < len(data):
                data[at] = self.rng.randrange(256)
            elif how == 1:
                del data[at:at + self.rng.randrange(9)]
            elif how == 2:
                data[at:at] = self.pick(NASTY + (b"\0", b"\n", b" ", self.tag))[:300]
            elif how == 3:
                data *= 2
            else:
                data[at:at] = struct.pack("=Q", self.pick(ODD) & (1 << 64) - 1)[:self.pick((1, 2, 4, 8))]
            if len(data) > 1 << 20:
                break
        return bytes(data)

    def bounded(self, key_size, value_size, entries):
        """Sizes of a map that is refused, or does not fill the machine: its state is memory, and others use it, too."""
        if max(key_size, value_size, entries) < (1 << 32) - 2:
            key_size, value_size = min(key_size, 1 << 12), min(value_size, 1 << 18)
            if (key_size + value_size) * entries > 1 << 22:
                entries = 8
        return key_size & 0xffffffff, value_size & 0xffffffff, entries & 0xffffffff

    def name(self, stem, n=4):
        if self.chance(25):
            return self.pick(NASTY)
        return b"%s%d" % (stem, self.rng.randrange(n))

    def some_map(self):
        return self.pick((b"canary", b"counts", b"rules")) if self.chance(8) else self.name(b"m", 6)

    def some_prog(self):
        return self.pick((b"canary", b"count_ports", b"tail_one", b"tail_two", b"allow", b"deny", b"entry", b"p0"))

    def path(self):
        """A path in the mount, of anything."""
        tree = self.rng.randrange(8)
        if tree < 3:
            at = (b"maps", self.some_map(), self.pick(FILES["maps"]))
        elif tree == 3:
            at = (b"progs", self.some_prog(), self.pick(FILES["progs"]))
        elif tree == 4:
            at = (b"cgroup", self.name(b"c"), self.pick(FILES["cgroup"]))
        elif tree == 5:
            at = (b"events", self.name(b"e"), self.pick(FILES["events"]))
        elif tree == 6:
            at = (b"d%d" % self.rng.randrange(3), self.name(b"l"))
        else:
            at = (self.pick(TOP),)
        if self.chance(12):
            at = at[:-1]
        if self.chance(25):
            at += (self.pick(NASTY),)
        if self.chance(20):
            at = (self.pick((b"own/pin", b"own", b"ids/map/%d" % self.rng.randrange(1, 60), b"ids/prog/%d" %
                             self.rng.randrange(1, 60), b"ids/ring/%d" % self.rng.randrange(1, 60))),)
        return b"/".join((self.m,) + at)

    def number(self):
        if self.chance(3):
            return b"%d" % self.pick(ODD)
        return self.pick((b"0", b"1", b"3", b"4", b"8", b"16", b"0x10", b"-1", b"1e3", b"", b" 4 ", b"0x"))

    def text(self):
        """A line that some file might take."""
        line = self.pick((
            self.number(), self.number(), self.pick(TYPES).encode(), self.pick(TYPES).encode(), self.some_prog(), self.some_map(),
            self.pick(PATHS), self.number() + b" " + self.number(), b"cpu0 " + self.number(),
            self.some_prog() + b" " + self.pick((b"multi", b"override", b"exclusive", b"detach", b"multi replace " +
                                                 self.some_prog(), b"replace", b"multi multi")),
            self.pick((b"timer", b"perf", b"pcap", b"cpu-clock", b"fp", b"dwarf", b"off", b"all", b"lo", b"tcp port 80")),
            b"%d" % os.getpid(), b" ".join(b"%02x" % self.rng.randrange(256) for _ in range(self.pick((4, 7, 8, 16, 64)))),
            self.tag))
        return self.spoil(line + self.pick((b"\n", b"\n", b"\n", b"")), 6)

    # ---- calls

    def keep(self, fd, kind=None):
        if len(self.fds) > 24:
            os.close(self.fds.pop(self.rng.randrange(len(self.fds)))[0])
        self.fds.append((fd, kind))
        return fd

    def look(self, data):
        if SECRET in data or SECRET_TEXT in data or SECRET.hex().encode() in data:
            raise Broken("the third user's value was shown")
        return data

    def open(self, path=None, flags=None):
        if flags is None:
            flags = self.pick((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR, 3)) | os.O_NONBLOCK
            while self.chance(4):
                flags |= self.pick(OPEN_FLAGS)
        path = path or self.path()
        self.says("open %r 0x%x" % (path[len(self.m):], flags))
        return self.keep(os.open(path, flags | os.O_CLOEXEC, self.pick((0o600, 0o644, 0o666, 0o777))))

    def write(self, path, data, flags=os.O_WRONLY):
        self.says("write %r %r" % (path[len(self.m):], data[:80]))
        fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            pieces = [data]
            if self.chance(5) and data:
                at = self.rng.randrange(len(data))
                pieces = [data[:at], data[at:]]
            for piece in pieces:
                os.write(fd, piece)
        finally:
            os.close(fd)

    def read_any(self):
        path = self.path()
        self.says("read %r" % path[len(self.m):])
        fd = os.open(path, os.O_RDONLY | (0 if self.chance(8) else os.O_NONBLOCK))
        try:
            for _ in range(4):
                if not self.look(os.read(fd, self.pick((1, 7, 100, 4096, 1 << 17)))):
                    break
        finally:
            os.close(fd)

    def write_any(self):
        flags = os.O_WRONLY | self.pick((0, 0, os.O_CREAT, os.O_TRUNC, os.O_APPEND, os.O_CREAT | os.O_EXCL))
        self.write(self.path(), self.text(), flags | os.O_NONBLOCK)

    def on_fd(self):
        """Any system call on a descriptor that we have."""
        if not self.fds:
            return self.open()
        fd, _ = self.pick(self.fds)
        off, size = self.pick((0, 0, 0, 1, 8, 4095, 4096, 1 << 20, 1 << 40)), self.pick((0, 1, 8, 100, 4096, 1 << 17))
        data = self.text() * self.pick((1, 1, 1, 30))

        def mapping():
            with mmap.mmap(fd, size or 4096, self.pick((mmap.MAP_SHARED, mmap.MAP_PRIVATE)),
                           self.pick((mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE)), offset=off & ~4095 & (1 << 30) - 1):
                pass  # what lies beyond the end is SIGBUS, and ours

        def xattr():
            path = "/proc/self/fd/%d" % fd
            self.pick((lambda: os.listxattr(path), lambda: os.getxattr(path, self.pick(("user.x", "security.capability",
                                                                                          "system.posix_acl_access"))),
                       lambda: os.setxattr(path, "user.x", data[:100]), lambda: os.removexattr(path, "user.x")))()

        def locking():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(fd, fcntl.LOCK_UN, size, off)

        def polling():
            p = select.poll()
            p.register(fd, select.POLLIN | select.POLLOUT | select.POLLPRI)
            p.poll(self.pick((0, 1, 20)))

        def handed_over():
            """Through a socket, as to another process."""
            a, b = socket.socketpair()
            with a, b:
                socket.send_fds(a, [b"x"], [fd])
                for got in socket.recv_fds(b, 1, 1)[1]:
                    self.keep(got)

        does = {
            "pread": lambda: self.look(os.pread(fd, size, off)), "read": lambda: self.look(os.read(fd, size)),
            "pwrite": lambda: os.pwrite(fd, data, off), "write": lambda: os.write(fd, data),
            "lseek": lambda: os.lseek(fd, off, self.rng.randrange(5)), "fsync": lambda: os.fsync(fd),
            "fdatasync": lambda: os.fdatasync(fd), "ftruncate": lambda: os.ftruncate(fd, off),
            "fallocate": lambda: os.posix_fallocate(fd, off, size), "mmap": mapping, "xattr": xattr, "flock": locking,
            "poll": polling, "fstat": lambda: os.fstat(fd), "fchmod": lambda: os.fchmod(fd, self.rng.randrange(0o10000)),
            "fchown": lambda: os.fchown(fd, self.pick((-1, 0, self.uid)), -1), "listdir": lambda: os.listdir(fd),
            "copy_file_range": lambda: os.copy_file_range(fd, self.pick(self.fds)[0], size, 0, 0),
            "sendfile": lambda: os.sendfile(self.pick(self.fds)[0], fd, off, size),
            "fadvise": lambda: os.posix_fadvise(fd, off, size, self.rng.randrange(6)),
            "ioctl": lambda: fcntl.ioctl(fd, self.rng.getrandbits(32), bytearray(128)),
            "reopen": lambda: self.open(b"/proc/self/fd/%d" % fd), "dup": lambda: self.keep(os.dup(fd)),
            "close": lambda: (self.fds.remove(next(f for f in self.fds if f[0] == fd)), os.close(fd)),
            "setfl": lambda: fcntl.fcntl(fd, fcntl.F_SETFL, self.pick((0, os.O_APPEND, os.O_NONBLOCK))),
            "hand over": handed_over, "readlink": lambda: os.readlink("", dir_fd=fd), "fstatvfs": lambda: os.fstatvfs(fd)}
        what = self.pick(does)
        try:
            at = os.readlink("/proc/self/fd/%d" % fd)
        except OSError:
            at = "?"
        self.says("%s %s off %d size %d %r" % (what, at, off, size, data[:60]))
        does[what]()

    def names(self):
        """What changes names and bits."""
        a, b = self.path(), self.path()
        if self.chance(2):  # where it can work
            a, b = (self.m + b"/d%d/%s" % (self.rng.randrange(3), self.name(b"l")) for _ in range(2))
        does = {
            "mkdir": lambda: os.mkdir(a, self.rng.randrange(0o2000)), "rmdir": lambda: os.rmdir(a), "unlink": lambda: os.unlink(a),
            "link": lambda: os.link(a, b), "pin": lambda: os.link(self.m + b"/maps/" + self.some_map() + b"/map", b),
            "pin prog": lambda: os.link(self.m + b"/progs/" + self.some_prog() + b"/prog", b), "rename": lambda: os.rename(a, b),
            "symlink": lambda: os.symlink(self.pick(PATHS + (b"l0", b"l1", b".")), b), "readlink": lambda: os.readlink(a),
            "renameat2": lambda: libc.renameat2(-100, a, -100, b, self.rng.randrange(16)), "stat": lambda: os.stat(a),
            "mkfifo": lambda: os.mkfifo(a), "mknod": lambda: os.mknod(a, stat.S_IFREG | 0o600), "listdir": lambda: os.listdir(a),
            "chmod": lambda: os.chmod(a, self.rng.randrange(0o10000)), "truncate": lambda: os.truncate(a, self.pick(ODD[:30])),
            "chown": lambda: os.chown(a, self.pick((-1, 0, 1, self.uid)), self.pick((-1, 0, self.uid))),
            "utime": lambda: os.utime(a), "access": lambda: os.access(a, self.rng.randrange(8)),
            "statvfs": lambda: os.statvfs(a),
            "mkdir in place": lambda: os.mkdir(self.m + b"/" + self.pick((b"maps/m%d", b"cgroup/c%d", b"events/e%d", b"d%d")) %
                                               self.rng.randrange(4)),
            "rm -r": lambda: shutil.rmtree(self.m + b"/" + self.pick((b"maps/m%d", b"cgroup/c%d", b"events/e%d", b"d%d",
                                                                       b"progs/p%d")) % self.rng.randrange(4))}
        what = self.pick(does)
        self.says("%s %r %r" % (what, a[len(self.m):], b[len(self.m):]))
        does[what]()

    def define(self):
        """A map from its attributes, in any order, some of them wrong."""
        kind = self.pick(TYPES)
        key_size, value_size, entries, flags = TYPES[kind]
        d = self.m + b"/maps/m%d" % self.rng.randrange(6)
        self.says("define %s %s" % (d[len(self.m):], kind))
        if self.chance(3):
            shutil.rmtree(d, ignore_errors=True)
        try:
            os.mkdir(d, self.pick((0o777, 0o755, 0o700)))
        except FileExistsError:
            pass
        lines = [(b"type", kind.encode())]
        wild = self.bounded(self.size(key_size), self.size(value_size), self.size(entries))
        for name, n in zip((b"key_size", b"value_size", b"max_entries"), wild):
            if n or self.chance(3):
                lines.append((name, b"%d" % n))
        if flags or self.chance(4):
            lines.insert(1, (b"map_flags", b"%d" % self.pick((flags, 0, 1, 2, 8, 16, 0x80, 0x100, 0x400, 0x480))))
        if kind.endswith("_of_maps") or self.chance(6):
            lines.insert(1, (b"inner_map", self.some_map()))
        if self.chance(4):
            self.rng.shuffle(lines)
        for name, line in lines:
            self.write(d + b"/" + name, line + b"\n")

    def elements(self):
        d = self.m + b"/maps/" + self.some_map()
        self.says("elements %r" % d[len(self.m):])
        with open(d + b"/info") as f:
            info = dict(line.rstrip("\n").split(": ", 1) for line in f)
        kind, key_size, value_size = info["type"], int(info["key_size"]), int(info["value_size"])

        def a(size, gap):
            if size in (1, 2, 4, 8):
                return b"%d" % (self.rng.randrange(10) if not self.chance(8) else self.rng.getrandbits(8 * size))
            return self.rng.randbytes(min(size, 300)).hex(*gap).encode()

        def value():
            if kind.endswith("_of_maps"):
                return self.some_map()
            if kind == "prog_array":
                return self.some_prog()
            if "percpu" in kind and self.chance(2):
                return b"".join(b"cpu%d %s\n" % (i, a(value_size, " ")) for i in range(os.cpu_count() or 1))
            return a(value_size, " ")

        if not key_size:
            self.write(d + self.pick((b"/push", b"/push", b"/has", b"/dump")),
                       b"".join(self.spoil(value() + b"\n", 9) for _ in range(self.pick((1, 3, 9)))))
        elif self.chance(2):
            self.write(d + b"/entries/" + a(key_size, ()), self.spoil(value() + b"\n", 6),
                       os.O_WRONLY | os.O_CREAT | self.pick((0, 0, os.O_EXCL)))
        elif self.chance(4):
            os.unlink(d + b"/entries/" + a(key_size, ()))
        else:
            self.write(d + b"/dump", b"".join(self.spoil(a(key_size, ()) + b" " + value() + b"\n", 9)
                                              for _ in range(self.pick((1, 3, 40)))))

    def load(self):
        """An object or the text of a filter; whole, in pieces, spoiled, with holes."""
        if self.chance(4):
            data = b"# p%d\n2\n40 0 0 12\n6 0 0 65535\n" % self.rng.randrange(3)
        else:
            data = self.objects[self.pick(OBJECTS)]
        if self.chance(2):
            data = self.spoil(data, 2)
        self.says("load %d bytes" % len(data))
        if self.chance(2):
            for name in os.listdir(self.m + b"/progs"):
                if name not in (b"new", b"log"):
                    shutil.rmtree(self.m + b"/progs/" + name, ignore_errors=True)
        fd = os.open(self.m + b"/progs/new", os.O_WRONLY | self.pick((0, os.O_APPEND)))
        try:
            at = 0
            while at < len(data):
                n = len(data) if self.chance(2) else self.rng.randrange(1, 6000)
                os.pwrite(fd, data[at:at + n], at if not self.chance(30) else self.pick(ODD[:34]))
                at += n
        finally:
            os.close(fd)

    def run(self):
        where = self.pick((b"/progs/" + self.some_prog() + b"/run", b"/cgroup/c%d/ingress.run" % self.rng.randrange(4)))
        self.says("run %r" % where)
        fd = os.open(self.m + where, os.O_RDWR)
        try:
            os.write(fd, os.urandom(self.pick((0, 1, 13, 14, 64, 1500, 70000))))
            if self.chance(2):
                self.look(os.read(fd, 1 << 16))
        finally:
            os.close(fd)

    # ---- commands

    def descriptor(self):
        """An object's descriptor, and what map it probably is."""
        known = [f for f in self.fds if f[1]]
        if known and not self.chance(3):
            return self.pick(known)
        flags = self.pick((os.O_RDWR, os.O_RDWR, os.O_RDONLY, os.O_WRONLY, 3))
        path = self.pick((b"/maps/" + self.some_map() + b"/map", b"/progs/" + self.some_prog() + b"/prog",
                          b"/ids/map/%d" % self.rng.randrange(1, 80), b"/ids/prog/%d" % self.rng.randrange(1, 80), b"/ctl"))
        self.says("descriptor %r" % path)
        fd = os.open(self.m + path, flags)
        self.keep(fd, "ctl" if path == b"/ctl" else "prog" if b"prog" in path else self.kind_of(fd))
        return fd, self.fds[-1][1]

    def kind_of(self, fd):
        """(type, key_size, value_size, max_entries) of a map's descriptor."""
        try:
            type, _, *sizes = struct.unpack_from("=5I", c.call(fd, c.OBJ_GET_INFO, b"", 80))
            return (NAMES.get(type, "hash"), *sizes)
        except OSError:
            return ("hash", 4, 8, 8)

    def create(self):
        kind = self.pick(TYPES)
        key_size, value_size, entries, flags = (self.size(n) & 0xffffffff for n in TYPES[kind])
        key_size, value_size, entries = self.bounded(key_size, value_size, entries)
        attr = struct.pack("=7I16s", NUMBERS[kind] if not self.chance(20) else self.rng.randrange(40), key_size, value_size, entries,
                           flags, self.rng.randrange(60), 0, self.pick((b"", b"m", b"a.b_c", b"%n")))
        self.says("create %s %r" % (kind, attr))
        ctl = os.open(self.m + b"/ctl", os.O_RDWR)
        try:
            number = struct.unpack("=I", c.call(ctl, c.MAP_CREATE, self.spoil(attr, 8)[:4000], 4))[0]
            self.keep(os.open(self.m + b"/ids/map/%d" % number, self.pick((os.O_RDWR, os.O_RDWR, os.O_RDONLY))),
                      (kind, key_size, value_size, entries))
        finally:
            os.close(ctl)

    def command(self):
        fd, kind = self.descriptor()
        if kind in ("ctl", "prog"):
            key_size, value_size, entries = 4, 8, 8
            nr = self.pick((c.MAP_CREATE, c.GET_NEXT_ID) if kind == "ctl" else (c.PROG_TEST_RUN, c.OBJ_GET_INFO, c.OBJ_PIN))
        else:
            kind, key_size, value_size, entries = kind
            nr = self.pick((*range(1, 6), *range(1, 10), c.OBJ_GET_INFO, c.OBJ_PIN, c.OBJ_TOKEN))
            key_size, value_size = min(key_size, 1 << 16), min(value_size, 1 << 16)
            if "percpu" in kind:
                value_size = (value_size + 7 & ~7) * (os.cpu_count() or 1)
        if self.chance(6):
            nr = self.pick((c.PUT, c.GET, c.DROP))
        elif self.chance(20):
            nr = self.pick(c.COMMANDS) if not self.chance(4) else self.rng.randrange(256)
        count = self.pick((0, 1, 2, entries, 100)) if not self.chance(6) else self.pick(ODD) & 0xffffffff
        unit = key_size + value_size
        key = struct.pack("=I", self.pick((0, 1, 2, 5, entries, 0xffffffff))).ljust(key_size, b"\0")[:key_size]
        value = struct.pack("=I", self.rng.randrange(60)).ljust(value_size, self.pick((b"\0", b"\1", b"\xff")))[:value_size]
        packet = os.urandom(self.pick((14, 64)))
        payload = {1: key, 2: key + value, 3: key, 4: key, 5: key, 8: (key + value) * min(count, 100),
                   9: key * min(count, 100), 16: struct.pack("=8I", len(packet), 0, 64, 0, self.pick((1, 1, 100, 1000)), 0, 0, 0) + packet,
                   32: struct.pack("=7I", 1, 4, 8, 8, 0, 0, 0),
                   25: self.pick((b"d%d/l%d" % (self.rng.randrange(3), self.rng.randrange(4)), *PATHS))[:3000] + b"\0",
                   48: self.text() * self.pick((1, 50))}.get(nr, b"")
        if nr == 34:
            count = self.rng.randrange(50)
        room = {1: value_size, 32: 4, 4: key_size, 5: value_size, 7: unit * min(count, 500), 16: 96, 24: 256, 26: 8, 34: 4,
                49: 4096}.get(nr, 0)
        payload = self.spoil(payload, 8)[:c.IO_MAX - c.IO.size]
        nexts = {34: self.pick((11, 12)), 48: 0}
        header = dict(
            in_len=len(payload) if not self.chance(12) else self.pick(ODD) & 0xffffffff,
            out_len=room if not self.chance(12) else self.pick(ODD) & 0xffffffff, count=count,
            flags=nexts.get(nr, self.pick((0, 0, 0, 0, 1, 2, 4))) if not self.chance(8) else self.pick(ODD) & (1 << 64) - 1,
            xfer=0 if not self.chance(5) else self.rng.randrange(4), stamp=0 if not self.chance(30) else self.rng.getrandbits(32),
            cursor=self.pick((0, 0, 0, 1, 2, 3, 9, (1 << 64) - 1)))
        size = max(len(payload), room) if not self.chance(12) else self.pick(ODD)
        size = min(size, c.IO_MAX - c.IO.size)
        self.says("command %d on %s size %d %r %r" % (nr, kind, size, header, payload[:64]))
        answer = c.raw(fd, nr, payload, size, **header)
        if not (nr == 26 and header["xfer"]):
            self.look(bytes(answer))
        if nr == 26:
            self.tokens = self.tokens[-8:] + [struct.unpack_from("=Q", answer, c.IO.size)[0]] if len(answer) >= c.IO.size + 8 \
                else self.tokens

    def load_insns(self):
        tokens = [self.pick(self.tokens) if self.tokens and not self.chance(6) else self.rng.getrandbits(64)
                  for _ in range(self.pick((0, 1, 1, 2)))]
        insns = self.pick((c.EXIT, c.reading(), c.storing(), c.updating(), c.updating(helper=3),
                           c.call_helper(12, c.ld_map(2, 0), c.insn(0xb7, 3)) + c.EXIT, c.ld_map(1, 0, 0) + c.insn(0x79, 1, 1) + c.EXIT))
        insns = bytearray(self.spoil(insns, 5))
        self.says("load insns %s" % insns.hex())
        ctl = os.open(self.m + b"/ctl", os.O_RDWR)
        try:
            load = struct.pack("=8I16s", self.pick((1, 1, 1, 3, 6, 8, 7, 99)), 0, self.size(len(insns) // 8) & 0xffffffff,
                               self.size(len(tokens)) & 0xffffffff if self.chance(6) else len(tokens), 4, self.pick((0, 1, 2, 7)),
                               0, self.pick((0, 0, 0, 0, 1)), self.pick((b"", b"p", b"a/b")))
            payload = load + bytes(insns) + b"".join(struct.pack("=Q", t) for t in tokens) + b"GPL\0"
            answer = c.call(ctl, c.PROG_LOAD, payload[:12000], self.pick((0, 16, 4096, 16000)))
            number = struct.unpack_from("=I", answer)[0]
            self.keep(os.open(self.m + b"/ids/prog/%d" % number, os.O_RDWR), "prog")
        finally:
            os.close(ctl)

    def source(self):
        d = self.m + b"/events/e%d/" % self.rng.randrange(4)
        kind = self.pick((b"timer", b"pcap", b"perf"))
        lines = {b"timer": [(b"interval_ms", self.pick((b"1", b"20", b"1000")))],
                 b"perf": [(b"event", b"cpu-clock"), (b"pid", b"%d" % os.getpid()), (b"freq", self.pick((b"9", b"99", b"5000")))],
                 b"pcap": [(b"file", self.pick(PATHS)), (b"out", self.pick(PATHS)), (b"filter", b"udp")]}[kind]
        self.says("source %r %s" % (d[len(self.m):], kind))
        try:
            os.mkdir(d)
        except FileExistsError:
            pass
        for name, line in [(b"type", kind), *lines, (b"attach", self.some_prog()), (b"attach", b"")]:
            try:
                self.write(d + name, (line if not self.chance(9) else self.text().strip()) + b"\n")
            except OSError as e:
                self.check(e)

    def own_log(self):
        self.says("log")
        with open(self.m + b"/log", "rb") as f:
            if self.other in self.look(f.read()):
                raise Broken("the log shows what the other user wrote")

    # ---- all of it

    def check(self, e):
        if e.errno is not None and not 0 < e.errno < 134:
            raise Broken("errno %s" % e.errno)

    def call(self):
        does = (self.read_any,) * 4 + (self.write_any,) * 4 + (self.open,) * 2 + (self.on_fd,) * 8 + (self.names,) * 6 + \
            (self.define,) * 3 + (self.elements,) * 4 + (self.load, self.run) + (self.create,) * 3 + (self.command,) * 14 + \
            (self.load_insns,) * 2 + (self.source, self.own_log)
        signal.setitimer(signal.ITIMER_REAL, 2)
        try:
            self.pick(does)()
        except OSError as e:
            self.check(e)
        except (Late, ValueError, struct.error, OverflowError):
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.calls += 1


NAMES = {number: name for name, number in NUMBERS.items()}
RECORD = 512


def user_process(m, uid, seed, shared, at, until, calls):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.umask(random.Random("%d.%d" % (seed, uid)).choice((0o022, 0o077, 0, 0)))
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    history = []

    def says(text):
        history.append(text)
        del history[:-12]
        line = ("%d " % user.calls + text).encode("utf-8", "replace")[:RECORD - 16]
        shared[at:at + RECORD] = (struct.pack("=dH", time.monotonic(), len(line)) + line).ljust(RECORD, b"\0")

    user = User(m, uid, seed, says)
    try:
        while time.monotonic() < until and (not calls or user.calls < calls):
            try:
                user.call()
            except Late:  # a moment too late for call()
                pass
    except Broken as e:
        print("uid %d: %s; its last calls:\n  %s" % (uid, e, "\n  ".join(history)), file=sys.stderr)
        return 3
    print("uid %d: %d calls" % (uid, user.calls), flush=True)
    return 0


def plant(m):
    """What belongs to the third user."""
    m.sh("""umask 077; mkdir $M/maps/canary $M/own; cd $M/maps/canary; echo hash > type; echo 4 > key_size
            echo %d > value_size; echo 8 > max_entries; echo '%s' > entries/1; ln map $M/own/pin; chmod 755 .
            { echo '# canary'; echo 1; echo 6 0 0 65535; } | cat > $M/progs/new; chmod 755 $M/progs/canary""" %
         (len(SECRET), SECRET_TEXT.decode()), user=OWNER)
    m.sh("for d in d0 d1 d2; do mkdir $M/$d; chmod 1777 $M/$d; done; chmod 777 $M/cgroup")
    return {p: os.stat(m.p(*p)) for p in (("maps", "canary", "map"), ("progs", "canary", "prog"), ("own", "pin"), ("own",))}


def still_there(m, before):
    for path, was in before.items():
        now = os.stat(m.p(*path))
        assert (now.st_uid, now.st_mode, now.st_ino) == (was.st_uid, was.st_mode, was.st_ino), (path, now)
    assert m.read("maps", "canary", "dump").strip() == "1 " + SECRET_TEXT.decode()
    assert m.info("progs", "canary", "stats")["run_cnt"] == "0", "the third user's program was run"


def fuzz(m, seed, seconds, calls=0):
    """Problems as text, or None."""
    before = plant(m)
    shared = mmap.mmap(-1, len(USERS) * RECORD)
    until = time.monotonic() + seconds
    pids = {}
    for i, uid in enumerate(USERS):
        pid = os.fork()
        if not pid:
            code = 4
            try:
                code = user_process(m, uid, seed, shared, i * RECORD, until, calls)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids[pid] = i

    def last():
        out = []
        for i, uid in enumerate(USERS):
            n = struct.unpack_from("=dH", shared, i * RECORD)[1]
            out.append("uid %d: %s" % (uid, shared[i * RECORD + 10:i * RECORD + 10 + n].decode("utf-8", "replace")))
        return "\n".join(out)

    problem = None
    while pids and not problem:
        for pid in list(pids):  # the server's status is not ours to take
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del pids[pid]
                if status:
                    problem = "a user's process ended with status %d" % status
        if m.proc.poll() is not None:
            problem = "the server ended with %s" % m.proc.returncode
        for i in pids.values():
            since, n = struct.unpack_from("=dH", shared, i * RECORD)
            if n and time.monotonic() - since > PATIENCE:
                problem = "a call of uid %d takes more than %d s" % (USERS[i], PATIENCE)
                for pid in pids:
                    for what in ("wchan", "syscall", "stack"):
                        with contextlib.suppress(OSError), open("/proc/%d/%s" % (pid, what)) as f:
                            problem += "\n%d %s: %s" % (pid, what, f.read())
                problem += "\n" + stacks(m.server())
        time.sleep(0.05)
    if problem:
        problem += "\n" + last() + "\n" + m.errors()[-6000:]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    if not problem:
        try:
            still_there(m, before)
            m.restart()
            still_there(m, before)
        except AssertionError as e:
            problem = "%s\n%s" % (e, m.errors()[-3000:])
    return problem


def main():
    if os.geteuid():
        print("fuzz_users: skipped: only root acts as two users")
        return 0
    return rounds.run("fuzz_users", fuzz, 5, 300)


if __name__ == "__main__":
    sys.exit(main())
