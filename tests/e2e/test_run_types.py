"""
ubpfctl run: types (BTF) as objects of bpf(2), on maps and on programs; the same on the running kernel and here.
"""
import json
import os

from bpf2 import BPFTOOL, can_run, same_as_kernel, script, tool, under_run
from conftest import PROGS, USERS, needs_root, wait_for

TYPES = r"""
STRINGS = b"\0int\0u64\0main\0main.c\0return 0;\0"

def types(extra=b""):
    at = STRINGS.index
    data = b"".join([
        struct.pack("<IIII", at(b"int"), 1 << 24, 4, 1 << 24 | 32),  # 1
        struct.pack("<IIII", at(b"u64"), 1 << 24, 8, 64),            # 2
        struct.pack("<III", 0, 13 << 24, 1),                         # 3: int (void)
        struct.pack("<III", at(b"main\0"), 12 << 24 | 1, 3),         # 4: main
    ]) + extra
    return struct.pack("<HBBIIIII", 0xeB9F, 1, 0, 24, 0, len(data), len(data), len(STRINGS)) + data + STRINGS

def btf_load(data, log=None, level=0):
    b = buf(data)
    return bpf(BTF_LOAD, "QQIII", ptr(b), ptr(log), len(data), len(log) if log else 0, level)[0]

def prog_load(insns, btf=0, funcs=b"", lines=b"", func_size=8, line_size=16):
    i, l, f, n = buf(insns), buf(b"GPL\0"), buf(funcs), buf(lines)
    return bpf(PROG_LOAD, "IIQQIIQII16sIIIIQIIQIIQ", 1, len(insns) // 8, ptr(i), ptr(l), 0, 0, 0, 0, 0, b"typed", 0, 0,
               btf, func_size, ptr(f), len(funcs) // func_size, line_size, ptr(n), len(lines) // line_size, 0, 0)[0]

RETURN = struct.pack("<BBhi", 0xb7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
good = btf_load(types())
"""

SCRIPT = TYPES + r"""
at = STRINGS.index
line = lambda off, file=at(b"main.c"), text=at(b"return"): struct.pack("<IIII", off, file, text, 1 << 10)
func = lambda off, id: struct.pack("<II", off, id)
results = [
    good > 0,
    name(btf_load(b"")), name(btf_load(types()[:-1])), name(btf_load(types(struct.pack("<III", 0, 2 << 24, 77)))),
    name(btf_load(types(), None, 1)),
    [name(min(0, r)) for r in (
        map_create(1, 4, 8, 3, 0, b"t", good, 1, 2), map_create(1, 8, 8, 3, 0, b"t", good, 1, 2),
        map_create(1, 4, 4, 3, 0, b"t", good, 1, 2), map_create(1, 4, 8, 3, 0, b"t", good, 1, 0),
        map_create(1, 4, 8, 3, 0, b"t", good, 1, 99), map_create(1, 4, 8, 3, 0, b"t", 999, 1, 2),
        map_create(2, 4, 8, 3, 0, b"t", good, 0, 2), map_create(1, 4, 8, 3, 0, b"t", good, 0, 2))],
    [name(min(0, prog_load(RETURN, *args))) for args in (
        (good, func(0, 4)), (good, func(0, 4), line(0)), (good, func(1, 4)), (good, func(0, 3)), (good, func(0, 99)),
        (good, func(0, 4) + func(1, 4)), (good, func(0, 4), line(1)), (good, func(0, 4), line(0) + line(0)),
        (good, func(0, 4), line(0, 9999)), (good, func(0, 4), line(2)), (0, func(0, 4)), (999, func(0, 4)),
        (good, func(0, 4) + bytes(4), b"", 12), (good, func(0, 4) + b"x" * 4, b"", 12), (good, bytes(4), b"", 4))],
]

# A map says what its types are, and they come back byte by byte.
fd = map_create(1, 4, 8, 3, 0, b"t", good, 1, 2)
info = buf(b"", 88)
r, _ = bpf(INFO, "IIQ", fd, 88, ptr(info))
btf_id, key, value = struct.unpack_from("<III", info.raw, 64)
results += [name(r), btf_id > 0, key, value]
os.close(good)
back = bpf(BTF_BY_ID, "I", btf_id)[0]
data = buf(b"", 4096)
info = buf(struct.pack("<QIIQII", ptr(data), 4096, 0, 0, 0, 0))
r, _ = bpf(INFO, "IIQ", back, 32, ptr(info))
size = struct.unpack_from("<I", info.raw, 8)[0]
results += [name(r), size == len(types()), data.raw[:size] == types(), os.readlink("/proc/self/fd/%d" % back)]
data = buf(b"", 8)
info = buf(struct.pack("<QIIQII", ptr(data), 4, 0, 0, 0, 0))
r, _ = bpf(INFO, "IIQ", back, 32, ptr(info))
results += [name(r), data.raw.hex(), name(bpf(OBJ_PIN, "QI", ptr(buf(b"/nowhere\0")), back)[0])]

# A program shows its function and its line.
prog = prog_load(RETURN, back, func(0, 4), line(0))
recs, lines = buf(b"", 8), buf(b"", 16)
info = buf(b"", 232)
r, _ = bpf(INFO, "IIQ", prog, 232, ptr(info))
results += [name(r), struct.unpack_from("<II", info.raw, 144), struct.unpack_from("<I", info.raw, 160)]
os.close(back)
os.close(fd)
os.close(prog)
print(json.dumps(results))
"""


def check(results):
    assert results[0] is True
    assert results[5][0] == results[6][0] == results[6][1] == "ok"
    assert results[-3] == "ok"


def test_types(m):
    same_as_kernel(m, SCRIPT, check)


def test_types_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    check(script(m, SCRIPT))


def test_types_go_with_what_has_them(m):
    can_run(m)
    script(m, TYPES + "print(json.dumps(good))")
    wait_for(lambda: not os.listdir(m.p("ids/btf")), "the types to go")
    assert tool(m, "prog", "load", os.path.join(PROGS, "count_ports.bpf.o"), m.p("cp")).returncode == 0
    (types,) = json.loads(tool(m, "-j", "btf", "list").stdout)
    assert BPFTOOL and "PTR" in tool(m, "btf", "dump", "id", str(types["id"])).stdout
    with open(m.p("ids/btf/%d" % types["id"]), "rb") as f:
        assert f.read(2) == b"\x9f\xeb"
    os.unlink(m.p("cp"))
    wait_for(lambda: not os.listdir(m.p("ids/btf")), "the types to go with their program")


def test_types_outlive_the_server(m):
    can_run(m)
    assert tool(m, "prog", "load", os.path.join(PROGS, "count_ports.bpf.o"), m.p("cp")).returncode == 0
    before = tool(m, "prog", "dump", "xlated", "pinned", m.p("cp")).stdout
    assert "int count_ports(struct __sk_buff * skb):" in before
    m.restart()
    assert tool(m, "prog", "dump", "xlated", "pinned", m.p("cp")).stdout == before


def test_types_are_their_loaders(m):
    needs_root("acts as somebody else")
    can_run(m)
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    (types,) = os.listdir(m.p("ids/btf"))
    r = under_run(m, BPFTOOL, "btf", "dump", "id", types, user=USERS[0])
    assert r.returncode != 0 and "Permission denied" in r.stderr
    os.chmod(m.p("maps/by_port/map"), 0o666)
    dumped = under_run(m, BPFTOOL, "-j", "map", "dump", "pinned", m.p("maps/by_port/map"), user=USERS[0])
    assert dumped.returncode == 0 and json.loads(dumped.stdout) == [], dumped.stderr
