"""
ubpfctl run: the commands of bpf(2) that are about no single kind of object, and what they refuse: the same as on the running
kernel, where root may ask it.
"""
import os
import subprocess

from bpf2 import can_run, kernel_script, kernel_serves, script, tool, under_run
from conftest import PROGS

SCRIPT = r"""
D = %r
os.chdir(D)

def load(fds=b"", cnt=0, log=None, size=None, insns=None):
    i, l, f = buf(insns or RETURN), buf(b"GPL\0"), buf(fds)
    attr = struct.pack("<IIQQIIQII16sIIIIQIIQIIIIQQI", 1, len(i.raw) // 8, ptr(i), ptr(l), 1 if log else 0,
                       len(log) if log else 0, ptr(log), 0, 0, b"p", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                       ptr(f) if fds else 0, 0, 0)
    attr = attr.ljust(148, b"\0") + struct.pack("<I", cnt)
    b = buf(attr)
    ctypes.set_errno(0)
    r = libc.syscall(NR, PROG_LOAD, b, size or len(attr))
    return (r if r >= 0 else -ctypes.get_errno()), struct.unpack_from("<I", b.raw, 140)[0]

RETURN = struct.pack("<BBhi", 0xb7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
ids = lambda *fds: struct.pack("<%%di" %% len(fds), *fds)

def maps_of(prog):
    info = buf(b"", 232)
    bpf(INFO, "IIQ", prog, 232, ptr(info))
    return struct.unpack_from("<I", info.raw, 52)[0]

m1, m2 = map_create(1, 4, 8, 3), map_create(2, 4, 8, 3)
prog, _ = load()
bind = lambda p, m, flags=0: name(bpf(BIND_MAP, "III", p, m, flags)[0])
results = [maps_of(prog), bind(prog, m1), maps_of(prog), bind(prog, m1), maps_of(prog), bind(prog, m2), maps_of(prog),
           bind(prog, m1, 1), bind(prog, 999), bind(999, m1), bind(prog, prog), bind(m1, m1),
           name(bpf(BIND_MAP, "IIII", prog, m1, 0, 1)[0])]

# A map that is bound lives as long as its program.
info = buf(b"", 88)
bpf(INFO, "IIQ", m1, 88, ptr(info))
id1 = struct.unpack_from("<I", info.raw, 4)[0]
os.close(m1)
m1 = bpf(MAP_BY_ID, "I", id1)[0]
results += [m1 > 0]

# fd_array with its count: all of it is bound.
bound = lambda *args: maps_of(r) if (r := load(*args)[0]) >= 0 else name(r)
results += [bound(ids(m1, m2), 2), bound(ids(m1, m1), 2), bound(ids(m1, m2), 1), bound(ids(m1, m2), 0), bound(ids(m1, 999), 2),
            bound(ids(m1, prog), 2)]

# Logs say how long they would have been.
log = buf(b"", 16)
r, true = load(b"", 0, log)
big = buf(b"", 65536)
r2, true2 = load(b"", 0, big)
results += [name(r), name(min(r2, 0)), true == true2, true2 == len(big.value) + 1, load(b"", 0, big, 140)[1]]

results += [name(min(bpf(ENABLE_STATS, "I", t)[0], 0)) for t in (0, 1, 99)]

query = lambda pid, fd, flags=0: name(bpf(TASK_QUERY, "IIIIQIIQQ", pid, fd, flags, 0, 0, 0, 0, 0, 0)[0])
root = os.open("/", os.O_RDONLY)
results += [query(os.getpid(), root), query(os.getpid(), 999), query(2147483647, 0), query(os.getpid(), root, 1)]

# Paths from a directory of the caller's.
os.mkdir("sub")
sub, plain = os.open("sub", os.O_RDONLY), os.open(".", os.O_RDONLY)
p = lambda path: ptr(buf(path + b"\0"))
pin = lambda path, fd, flags=0, dirfd=0: name(bpf(OBJ_PIN, "QIIi", p(path), fd, flags, dirfd)[0])
get = lambda path, flags=0, dirfd=0: name(min(0, bpf(OBJ_GET, "QIIi", p(path), 0, flags, dirfd)[0]))
results += [pin(b"a", m2), pin(b"b", m2, 1 << 14, sub), os.path.exists("sub/b"), pin(b"c", m2, 0, sub), pin(b"c", m2, 1 << 14, 999),
            pin(b"sub/c", prog, 1 << 14, plain), pin(b"d", prog, 1 << 14, -100), pin(D.encode() + b"/e", m2, 1 << 14, sub),
            get(b"b", 1 << 14, sub), get(b"c", 1 << 14 | 8, sub), get(b"b"), get(b"sub/b", 0, sub), get(b"b", 1 << 15, sub),
            get(b"../a", 1 << 14, sub), get(b"b", 1 << 14, m2), get(b"", 1 << 14, sub), sorted(os.listdir(".")),
            sorted(os.listdir("sub"))]
print(json.dumps(results))
"""


def check(results):
    assert results[:7] == [0, "ok", 1, "ok", 1, "ok", 2], results
    assert results[-2:] == [["a", "d", "e", "sub"], ["b", "c"]], results


def test_commands(m):
    can_run(m)
    os.mkdir(m.p("pins"))
    ours = script(m, SCRIPT % m.p("pins"))
    check(ours)
    fs = os.path.join(m.base, "kernel")
    os.mkdir(fs)
    if not kernel_serves() or subprocess.run(["mount", "-t", "bpf", "bpf", fs], capture_output=True).returncode:
        return
    try:
        os.mkdir(fs + "/pins")
        assert ours == kernel_script(SCRIPT % (fs + "/pins"))
    finally:
        subprocess.run(["umount", "-l", fs], check=True)


def test_commands_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    assert under_run(m, "mkdir", m.p("pins")).returncode == 0
    check(script(m, SCRIPT % m.p("pins")))


def test_metadata(m):
    """Constants that no instruction reads belong to their program, as libbpf binds them."""
    can_run(m)
    assert tool(m, "prog", "load", os.path.join(PROGS, "skeleton.bpf.o"), m.p("p")).returncode == 0
    assert "skeleton.rodata" in tool(m, "map", "show").stdout
