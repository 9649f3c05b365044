#!/usr/bin/python3
"""
fuzz_bpf2.py - a command under `ubpfctl run` calls bpf(2), and what else is answered, with whatever bytes

    fuzz_bpf2.py [-seconds 60] [-seed S] [-calls N]         UBPFFS_BUILD: the build directory; best a sanitized one

The command makes objects of each kind and then attributes of each command, of which it spoils some: sizes, pointers (none,
unmapped, the end of a page, memory that cannot be written), descriptors of another kind, flags, bytes behind the end. Threads
do it at once, and children that are killed at some moment. It fails, with the seed, when
  - the supervisor or the server ends, or a sanitizer reports something;
  - the command is killed by a signal, or hangs;
  - an errno is none, or a call says 0 or more that cannot have worked.
"""
import glob
import os
import random
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import rounds  # noqa: E402
from bpf2 import CTL, PRELUDE, PYTHON  # noqa: E402
from conftest import SLOW, as_user  # noqa: E402

COMMAND = r"""
import fcntl, mmap, random, resource, signal, stat, threading, time
M, SEED, SECONDS, CALLS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
END = time.monotonic() + SECONDS
PROBE = map_create(1, 4, 4, 1)
if PROBE < 0 or os.fstat(PROBE).st_dev != os.stat(M).st_dev:
    sys.exit("this is not under run: " + name(PROBE))  # never the kernel's own
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
PAGES = libc.mmap(None, 3 * 4096, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
# All that is passed lies here, so that an answer that is larger than its room (which bpf(2) may give) spoils nothing else;
# threads write where others read. Terabytes of nothing around it: a pointer with another byte, to which an answer is
# written, must not be one into Python.
ROOM, NOTHING, MAP_NORESERVE = 1 << 18, 1 << 42, 0x4000
ARENA = libc.mmap(None, NOTHING, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) + NOTHING // 2
libc.mprotect(ctypes.c_void_p(ARENA), ROOM, 3)
libc.munmap(PAGES + 4096, 4096)                          # a page, a hole,
libc.mprotect(ctypes.c_void_p(PAGES + 8192), 4096, 1)    # and one that cannot be written
WRONG = [0, 1, 0xffffffffffffffff, 1 << 63, 0x7fffffffffff, PAGES + 4096 - 3, PAGES + 4096, PAGES + 8192, PAGES + 12288 - 1]
TYPES = b"".join([struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32), struct.pack("<III", 0, 13 << 24, 1),
                  struct.pack("<III", 5, 12 << 24 | 1, 2)])
STRINGS = b"\0int\0main\0"
BTF = struct.pack("<HBBIIIII", 0xeB9F, 1, 0, 24, 0, len(TYPES), len(TYPES), len(STRINGS)) + TYPES + STRINGS
RETURN = struct.pack("<BBhi", 0xb7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)


class Fuzz:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.fds = [PROBE]
        self.kinds = {"map": [PROBE], "prog": [], "btf": [], "link": [], "event": []}
        self.dirs = [os.open(os.path.join(M, d), os.O_RDONLY) for d in ("cgroup", "cgroup/a", "cgroup/a/b", "maps")]
        self.calls = 0
        for type in 1, 2, 4, 5, 9, 12, 27:
            self.add("map", map_create(type, 0 if type == 27 else 4, 0 if type == 27 else 4, 4096,
                                       0x400 if type == 2 else 0))
        self.add("btf", bpf(BTF_LOAD, "QQIII", ptr(buf(BTF)), 0, len(BTF), 0, 0)[0])
        for type in 1, 8, 8, 6, 7:
            self.add("prog", bpf(PROG_LOAD, "IIQQIIQII16s", type, 2, ptr(buf(RETURN)), ptr(buf(b"GPL\0")), 0, 0, 0, 0, 0,
                                 b"p")[0])
        self.add("link", bpf(LINK_CREATE, "IIIIQQ", self.kinds["prog"][1], self.dirs[2], 0, 0, 0, 0)[0])

    def add(self, kind, fd):
        if fd > 2:
            self.kinds[kind].append(fd)
            self.fds.append(fd)

    def fd(self, kind=None):
        r = self.r.random()
        if r < 0.04:
            return self.r.choice([0, 1, 2, -1, 999, 1 << 31, self.dirs[0]]) & 0xffffffff
        if kind == "dir" and r < 0.9:
            return self.r.choice(self.dirs)
        if kind and r < 0.9 and self.kinds.get(kind):
            return self.r.choice(self.kinds[kind])
        return self.r.choice(self.dirs if r < 0.92 else self.fds)

    def num(self, *good):
        r = self.r.random()
        if r < 0.93:
            return self.r.choice(good)
        return self.r.choice([0, 1, 2, 3, 4, 7, 8, 64, 255, 4096, 65535, 0x7fffffff, 0x80000000, 0xffffffff,
                              self.r.getrandbits(32)])

    def mem(self, size, data=None):
        if self.r.random() < 0.05:
            return self.r.choice(WRONG)
        data = data if data is not None else self.r.randbytes(size)
        at = ARENA + self.r.randrange(ROOM - max(size, len(data), 1))
        ctypes.memmove(at, data, len(data))
        return at

    def path(self):
        return self.mem(64, self.r.choice([b"/pin%d" % self.r.randrange(8), b"/nothing/x", b"", b"/cgroup/x", b"/..",
                                           b"/maps/m", b"/ids/map/1"]).join([M.encode(), b"\0"]))

    def attr(self):
        n, fd, mem = self.num, self.fd, self.mem
        cmd = self.r.randrange(-1, 40)
        key, value = mem(8, struct.pack("<IQ", self.r.randrange(6), 7)[:8]), mem(4096)
        f = {
            MAP_CREATE: lambda: ("IIIIIII16sIIIIIQ", n(1, 1, 2, 5, 6, 9, 12, 13, 22, 27), n(4, 8, 0), n(4, 8, 4), n(4, 4096),
                                 n(0, 0, 0, 1, 0x400, 0x480), n(0, fd("map")), 0, self.r.choice([b"m", b"a b", b"x" * 16]), 0,
                                 n(0, 0, fd("btf")), n(0, 0, 1), n(0, 0, 1), 0, 0),
            LOOKUP: lambda: ("IIQQQ", fd("map"), 0, key, value, n(0, 0, 4)),
            UPDATE: lambda: ("IIQQQ", fd("map"), 0, key, mem(4096, struct.pack("<I", fd())), n(0, 1, 2, 4)),
            DELETE: lambda: ("IIQ", fd("map"), 0, key),
            NEXT_KEY: lambda: ("IIQQ", fd("map"), 0, self.r.choice([0, key]), value),
            LOOKUP_DELETE: lambda: ("IIQQQ", fd("map"), 0, key, value, 0),
            FREEZE: lambda: ("I", fd("map") if self.r.random() < 0.1 else 0),
            PROG_LOAD: lambda: ("IIQQIIQII16sIIIIQIIQI", n(1, 1, 8, 3, 6, 7), n(2, 2, 2, 5), mem(64, RETURN + RETURN),
                                mem(8, b"GPL\0"), n(0, 1, 2), n(0, 300), self.r.choice([0, mem(300)]), 0, n(0, 0, 8), b"p", 0,
                                n(0, 0, 1), n(0, fd("btf")), n(8), mem(16, struct.pack("<II", 0, 3)), n(0, 1), n(16),
                                mem(16, struct.pack("<IIII", 0, 1, 1, 1)), n(0, 1)),
            OBJ_PIN: lambda: ("QIII", self.path(), fd(), n(0, 0, 8, 1 << 14), n(0, 0, fd("dir"))),
            OBJ_GET: lambda: ("QIII", self.path(), n(0), n(0, 8, 16, 1 << 14), n(0, 0, fd("dir"))),
            BIND_MAP: lambda: ("III", fd("prog"), fd("map"), n(0)),
            ENABLE_STATS: lambda: ("I", n(0)),
            TASK_QUERY: lambda: ("IIIIQ", n(os.getpid()), fd(), n(0), n(0, 64), mem(64)),
            PROG_ATTACH: lambda: ("IIIII", fd("dir"), fd("prog"), n(0, 1), n(0, 1, 2, 2, 2, 6), fd("prog")),
            PROG_DETACH: lambda: ("III", fd("dir"), fd("prog"), n(0, 1)),
            TEST_RUN: lambda: ("IIIIQQIIIIQQ", fd("prog"), 0, n(64, 14), n(0, 64), mem(64), mem(64), n(0, 1), 0, *self.r.choice([(0, 0, 0, 0), (192, 192, mem(192), mem(192)), (0, 192, mem(8), 0)])),
            INFO: lambda: ("IIQ", fd(), n(88, 232, 32, 40, 400), mem(512, self.r.choice([bytes(512), None]))),
            QUERY: lambda: ("IIIIQIIQ", fd("dir"), n(0, 1), n(0, 1), 0, mem(64), n(4, 16, 0), 0, self.r.choice([0, mem(64)])),
            BTF_LOAD: lambda: ("QQIII", mem(len(BTF), BTF), self.r.choice([0, mem(64)]), n(len(BTF)), n(0, 64), n(0, 1)),
            LINK_CREATE: lambda: ("IIII", fd("prog"), fd("dir"), n(0, 1), n(0)),
            LINK_UPDATE: lambda: ("IIII", fd("link"), fd("prog"), n(0, 4), self.r.choice([0, fd("prog")])),
            LINK_DETACH: lambda: ("I", fd("link")),
        }
        for nr in PROG_NEXT_ID, MAP_NEXT_ID, BTF_NEXT_ID, LINK_NEXT_ID, PROG_BY_ID, MAP_BY_ID, BTF_BY_ID, LINK_BY_ID:
            f[nr] = lambda: ("III", self.r.randrange(60), 0, n(0, 0, 8))
        for nr in LOOKUP_BATCH, LOOKUP_DELETE_BATCH, UPDATE_BATCH, DELETE_BATCH:
            f[nr] = lambda: ("QQQQIIQQ", self.r.choice([0, key]), mem(8), mem(4096), mem(4096 * 8), n(3, 8, 1), fd("map"), n(0, 0, 4), 0)
        fmt, *values = f.get(cmd, lambda: ("QQQQ", *(self.r.getrandbits(64) for _ in range(4))))()
        raw = bytearray(struct.pack("<" + fmt, *[v & (2 ** 64 - 1 if k == "Q" else 2 ** 32 - 1) if isinstance(v, int) else v
                                                 for k, v in zip([c for c in fmt.replace("16s", "s")], values)]))
        if self.r.random() < 0.08:
            for _ in range(self.r.randrange(1, 4)):
                raw[self.r.randrange(len(raw))] = self.r.getrandbits(8)
        if self.r.random() < 0.04:
            raw += bytes(self.r.randrange(200)) + self.r.choice([b"", b"\1"])
        return cmd, bytes(raw)

    def call(self):
        cmd, raw = self.attr()
        size = len(raw) if self.r.random() < 0.96 else self.num(len(raw))
        at = self.mem(max(len(raw), 1), raw)
        ctypes.set_errno(0)
        ret = libc.syscall(NR, ctypes.c_long(cmd), ctypes.c_void_p(at), ctypes.c_ulong(size))
        if ret < 0:
            # What the kernel says of a descriptor that it knows nothing of is no errno of programs' either.
            if not 0 < ctypes.get_errno() < 512 and (cmd, ctypes.get_errno()) != (TASK_QUERY, 524):
                print("command %d: errno %d" % (cmd, ctypes.get_errno()), flush=True)
                os._exit(9)
        elif ret > 2:
            try:
                ours = os.fstat(ret).st_dev == os.stat(M).st_dev
            except OSError:
                ours = False
            kind = {MAP_CREATE: "map", MAP_BY_ID: "map", PROG_LOAD: "prog", PROG_BY_ID: "prog", BTF_LOAD: "btf",
                    BTF_BY_ID: "btf", LINK_CREATE: "link", LINK_BY_ID: "link", OBJ_GET: "map"}.get(cmd)
            if ours and kind and len(self.fds) < 60:
                self.add(kind, ret)
            elif (ours and ret != PROBE) or cmd == ENABLE_STATS:
                os.close(ret)

    def other(self):
        what, fd = self.r.randrange(9), self.r.choice(self.fds + self.dirs)
        try:
            if what == 0:
                os.readlink("/proc/self/fd/%d" % fd)
            elif what == 1:
                open("/proc/self/fdinfo/%d" % fd).read()
            elif what == 2:
                os.statvfs(self.r.choice([M, M + "/maps", "/", "/nothing"]))
            elif what == 3:
                resource.setrlimit(resource.RLIMIT_MEMLOCK, resource.getrlimit(resource.RLIMIT_MEMLOCK))
            elif what == 4:
                size = self.r.choice([1, 4096, 8192, 3 * 4096, 1 << 20, 0])
                at = libc.mmap(None, size, self.r.choice([1, 1, 3]), 1, fd, self.r.choice([0, 0, 4096, 8192, 77]))
                if at != ctypes.c_void_p(-1).value:
                    ctypes.string_at(at, 1)
                    libc.munmap(at, size)
            elif what == 5 and len(self.fds) > 20:
                fd = self.fds.pop(self.r.randrange(1, len(self.fds)))
                for fds in self.kinds.values():
                    if fd in fds:
                        fds.remove(fd)
                os.close(fd)
            elif what == 7:
                attr = struct.pack("<IIQQQQQII", self.num(1), self.num(112, 64, 0), self.num(10, 10, 0), self.num(1, 10000000),
                                   self.num(1 << 10, 5 << 7, 0), 0,
                                   self.num(0, 1, 1 << 14), self.num(1, 2), 0)
                ctypes.set_errno(0)
                ret = libc.syscall({"x86_64": 298}.get(os.uname().machine, 241), ctypes.c_void_p(self.mem(112, attr)),
                                   self.num(0xffffffff, 0), self.num(0, 1, 0xffffffff), self.num(0xffffffff), ctypes.c_ulong(self.num(8, 0)))
                if ret > 2 and os.fstat(ret).st_dev == os.stat(M).st_dev and len(self.fds) < 60:
                    self.add("event", ret)
                elif ret > 2:
                    os.close(ret)
            elif what == 8:
                if self.r.random() < 0.5:
                    fcntl.ioctl(fd, 0x2400 | self.r.randrange(4))
                else:
                    libc.ioctl(fd, ctypes.c_ulong(0x40042408), ctypes.c_ulong(self.fd("prog")))
            elif what == 6:
                os.unlink(M + "/pin%d" % self.r.randrange(8))
        except OSError:
            pass

    def run(self):
        while time.monotonic() < END and (not CALLS or self.calls < CALLS):
            self.calls += 1
            self.call() if self.r.random() < 0.9 else self.other()


def child(seed):
    pid = os.fork()
    if not pid:
        Fuzz(seed).run()
        os._exit(0)
    return pid


seeds = random.Random(SEED)
threads = [threading.Thread(target=Fuzz(seeds.getrandbits(32)).run) for _ in range(2)]
doomed = [child(seeds.getrandbits(32)) for _ in range(2)]
[t.start() for t in threads]
for pid in doomed:
    time.sleep(seeds.random() * min(SECONDS, 2))
    os.kill(pid, signal.SIGKILL)
codes = [os.waitpid(pid, 0)[1] for pid in doomed]
[t.join() for t in threads]
bad = [c for c in codes if c not in (0, signal.SIGKILL)]
sys.exit(bad and "children ended with %s" % bad or 0)
"""


def fuzz(m, seed, seconds, calls=0):
    """None, or what went wrong."""
    reports = os.path.join(m.base, "reports")
    os.makedirs(reports, exist_ok=True)
    os.chmod(reports, 0o1777)
    env = dict(os.environ, ASAN_OPTIONS="log_path=%s/asan:detect_leaks=0" % reports,
               UBSAN_OPTIONS="print_stacktrace=1:log_path=%s/ubsan" % reports)
    for d in "cgroup/a", "cgroup/a/b":
        if not os.path.isdir(m.p(d)):
            subprocess.run(["mkdir", m.p(d)], check=True, **as_user(m.user))
    argv = [CTL, "run", "-m", m.path, "--", PYTHON, "-c", PRELUDE + COMMAND, m.path, str(seed), str(seconds), str(calls)]
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd="/",
                         **as_user(m.user))
    try:
        out, _ = p.communicate(timeout=seconds + 60 * SLOW)
    except subprocess.TimeoutExpired:
        p.kill()
        return "the command hangs"
    for report in glob.glob(os.path.join(reports, "*")):
        with open(report) as f:
            return f.read()[:6000]
    if p.returncode:
        return "the command ended with %d: %s" % (p.returncode, out[-3000:])
    if m.proc.poll() is not None:
        return "the server ended with %s: %s" % (m.proc.returncode, m.errors()[-3000:])
    return None


def main():
    return rounds.run("fuzz_bpf2", fuzz, 3, 20,
                      lambda seed: None if random.Random(seed).random() < 0.5 else os.geteuid() or 65534)


if __name__ == "__main__":
    sys.exit(main())
