"""dump.json, and the types behind it across restarts; mmap of array maps."""
import ctypes
import glob
import json
import os
import struct
import threading

import pytest

from commands import MAP_UPDATE_BATCH, call
from conftest import BUILD, USERS
from test_progs_run import PACKET

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
READ, WRITE, SHARED, PAGE = 1, 2, 1, 4096


@pytest.fixture
def mapping(m):
    """mmap(2) itself: Python's module goes by st_size, which is 0. A mapping keeps the mount busy, so all go first."""
    made = []

    def do(fd, size, prot):
        p = LIBC.mmap(None, size, prot, SHARED, fd, 0)
        if p == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        made.append((p, size))
        return (ctypes.c_char * size).from_address(p)
    yield do
    for p, size in made:
        LIBC.munmap(p, size)


def load(m, name):
    return json.loads(m.read("maps", name, "dump.json"))


def run(m, times=1):
    with open(os.path.join(m.base, "pkt"), "wb") as f:
        f.write(PACKET)
    m.sh("for i in $(seq %d); do exec 3<>$M/progs/json_types/run; cat $T/pkt >&3; cat <&3 >/dev/null; done" % times)


def array(m, name, flags, entries=600):
    m.sh("mkdir $M/maps/%s; cd $M/maps/%s; echo array > type; echo 4 > key_size; echo 8 > value_size; "
         "echo %s > map_flags; echo %d > max_entries" % (name, name, flags, entries))


VALUE = {
    "name": "caf\u00e9 \"q\"", "raw": [200, 0, 0, 0], "color": "BLUE", "odd": 77,
    "corners": [{"x": 0, "y": 0}, {"x": -3, "y": 0}], "word": 0x01020304, "bytes": [4, 3, 2, 1],
    "below": -5, "above": 2 ** 64 - 1, "yes": True, "no": False, "low": 5, "high": 17, "small": -2,
    "ratio": 0, "exact": 0, "where": "0x0", "grid": [[0, 0, 0], [0, 0, 9]],
}


def check_all(m):
    things = load(m, "things")
    assert sorted(e["key"]["port"] for e in things) == [80, 81]
    for e in things:
        assert e["value"] == VALUE
        tag = "ab" if e["key"]["port"] == 80 else [1, ord("b"), 0, 0, 0]
        assert e["key"] == {"port": e["key"]["port"], "proto": 6, "tag": tag}
    cpus = load(m, "per_cpu")
    assert [e["key"] for e in cpus] == [0, 1]
    assert [v["cpu"] for v in cpus[1]["values"]] == list(range(len(cpus[1]["values"])))
    assert {v["value"]["x"] for v in cpus[1]["values"]} <= {0, 7}
    assert any(v["value"] == {"x": 7, "y": 0} for v in cpus[1]["values"])
    assert load(m, "json_types.rodata")[0]["value"] == {"greeting": "hi\n"}
    assert load(m, "json_types.data")[0]["value"] == {"favourite": "GREEN", "origin": {"x": -1, "y": 2}}
    assert load(m, "json_types.bss")[0]["value"] == {"counts": [0, 2, 0]}


def test_types(m):
    m.load("json_types")
    assert load(m, "things") == [] and m.read("maps", "things", "dump.json") == "[]\n"
    run(m)
    check_all(m)


@pytest.mark.parametrize("kill", [True, False])
def test_types_survive(m, kill):
    m.expect("taking away")
    m.load("json_types")
    run(m)
    ids = m.info("maps", "things", "info")["btf_value_type_id"]
    m.restart(kill=kill)
    check_all(m)
    assert m.info("maps", "things", "info")["btf_value_type_id"] == ids != "0"
    m.sh("rm -r $M/progs/json_types")
    m.wait_live(0, 0)
    assert m.objects() == []


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "gone"])
def test_damaged_types(m, damage):
    """The map lives, its entries are numbers and bytes."""
    m.load("json_types")
    run(m)
    m.kill()
    for path in glob.glob(os.path.join(m.state, "objects", "*.btf")):
        if damage == "gone":
            os.unlink(path)
            continue
        with open(path, "r+b") as f:
            size = os.path.getsize(path)
            if damage == "noise":
                f.seek(size // 4)
                f.write(b"\xff" * 64)
            else:
                f.truncate(size // 2 if damage == "cut" else 0)
    m.expect("taking away|could not be read")
    m.start()
    assert m.info("maps", "mapped", "info")["btf_value_type_id"] == "0"
    assert load(m, "mapped")[1] == {"key": 1, "value": 1}
    things = load(m, "things")
    assert {type(e["key"]) for e in things} == {int}  # 8 bytes
    assert all(bytes.fromhex(e["value"]).startswith(b"caf\xc3\xa9 \"q\"") for e in things)
    run(m)
    m.sh("rm -r $M/progs/json_types")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_without_types(m):
    m.sh("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 3 > key_size; echo 8 > value_size; "
         "echo 10 > max_entries; echo 18446744073709551615 > entries/00ff10")
    assert load(m, "h") == [{"key": "00ff10", "value": 2 ** 64 - 1}]
    m.sh("mkdir $M/maps/p; cd $M/maps/p; echo percpu_array > type; echo 5 > value_size; echo 1 > max_entries")
    entry, = load(m, "p")
    assert entry["key"] == 0 and {v["value"] for v in entry["values"]} == {"0000000000"}


def test_changing_meanwhile(m):
    """Valid at every moment; what lives through the read is there exactly once."""
    m.sh("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 4 > key_size; echo 4 > value_size; "
         "echo 20000 > max_entries; seq 0 9999 | sed 's/$/ 1/' > dump")
    stop = threading.Event()

    def churn():
        with open(m.p("maps", "h", "dump"), "w") as f:
            i = 0
            while not stop.is_set():
                f.write("".join("%d %d\n" % (k, i) for k in range(i % 7, 15000, 7)))
                f.flush()
                for k in range(10000 + i % 50, 10050):
                    try:
                        os.unlink(m.p("maps", "h", "entries", str(k)))
                    except OSError:
                        pass
                i += 1
    t = threading.Thread(target=churn)
    t.start()
    try:
        for _ in range(8):
            keys = [e["key"] for e in load(m, "h")]
            assert len(set(keys)) == len(keys) and set(keys) >= set(range(10000))
    finally:
        stop.set()
        t.join()


def test_million_entries(m):
    array(m, "a", "0", 1000000)
    n = last = 0
    with open(m.p("maps", "a", "dump.json")) as f:
        assert f.readline() == "[\n"
        for line in f:
            if line == "]\n":
                break
            last = json.loads(line.rstrip(",\n"))["key"]
            assert last == n
            n += 1
        assert f.read() == ""
    assert (n, last) == (1000000, 999999)


# ---- mmap

def passthrough(m):
    if os.path.lexists(m.p("maps", "a", "mem")):
        pytest.skip("no FUSE passthrough here (it takes root and Linux 6.9)")


def test_mmap_both_ways(m, mapping):
    m.load("json_types")
    if os.path.lexists(m.p("maps", "mapped", "mem")):
        pytest.skip("no FUSE passthrough here (it takes root and Linux 6.9)")
    fd = os.open(m.p("maps", "mapped", "map"), os.O_RDWR)
    view = mapping(fd, 2 * PAGE, READ | WRITE)
    assert m.read("maps", "mapped", "entries", "599") == "0\n"
    view[599 * 8:600 * 8] = struct.pack("<Q", 4711)
    assert m.read("maps", "mapped", "entries", "599") == "4711\n"
    m.sh("echo 88 > $M/maps/mapped/entries/2")
    assert struct.unpack_from("<Q", view, 16) == (88,)
    view[8:16] = struct.pack("<Q", 1000)  # the program adds to what the client wrote
    run(m, 3)
    assert struct.unpack_from("<Q", view, 8) == (1003,)
    assert os.read(fd, 10) == b""
    with pytest.raises(PermissionError):
        os.write(fd, b"x")
    os.close(fd)
    view[0:8] = struct.pack("<Q", 5)  # the mapping outlives the descriptor
    assert load(m, "mapped")[0] == {"key": 0, "value": 5}
    os.close(os.open(m.p("maps", "mapped", "map"), os.O_RDWR))


def test_mmap_needs_the_flag(m, mapping):
    array(m, "a", "0")
    assert not os.path.lexists(m.p("maps", "a", "mem"))
    fd = os.open(m.p("maps", "a", "map"), os.O_RDWR)
    with pytest.raises(OSError) as e:
        mapping(fd, PAGE, READ)
    assert e.value.errno == 19  # ENODEV
    os.close(fd)


def test_mmap_read_only(m, mapping):
    array(m, "a", "0x400")
    passthrough(m)
    fds = [os.open(m.p("maps", "a", "map"), mode) for mode in (os.O_RDONLY, os.O_RDWR)]
    with pytest.raises(PermissionError):
        mapping(fds[0], PAGE, READ | WRITE)
    view = mapping(fds[0], PAGE, READ)
    assert LIBC.mprotect(ctypes.byref(view), PAGE, READ | WRITE) == -1
    m.sh("chmod 644 $M/maps/a/map; echo 3 > $M/maps/a/entries/0")
    assert struct.unpack_from("<Q", view) == (3,)
    m.sh("ln $M/maps/a/map $M/pin; exec 3<$M/pin; exec 4<>$M/ids/map/*")
    for fd in fds:
        os.close(fd)
    r = m.sh("exec 3<$M/maps/a/map", user=USERS[0])
    assert r.returncode == 0
    m.fails("exec 3<>$M/maps/a/map", "Permission denied", user=USERS[0])


def test_mmap_of_a_frozen_map(m, mapping):
    array(m, "a", "0x400")
    passthrough(m)
    lib = ctypes.CDLL(os.path.join(BUILD, "libubpffs-client.so"), use_errno=True)
    fd = os.open(m.p("maps", "a", "map"), os.O_RDWR)
    assert lib.ubpfc_freeze_map(fd) == 0
    os.close(fd)
    with pytest.raises(PermissionError):
        os.open(m.p("maps", "a", "map"), os.O_RDWR)
    assert "frozen" in m.log()
    fd = os.open(m.p("maps", "a", "map"), os.O_RDONLY)
    mapping(fd, PAGE, READ)
    with pytest.raises(PermissionError):
        mapping(fd, PAGE, READ | WRITE)
    os.close(fd)


def test_mmap_of_constants(m, mapping):
    """What the verifier takes as constant is never mapped for writing."""
    array(m, "a", "0x480")  # BPF_F_MMAPABLE | BPF_F_RDONLY_PROG
    mem = m.p("maps", "a", "mem")
    if os.path.islink(mem):
        pytest.skip("no FUSE passthrough here (it takes root and Linux 6.9)")
    fd = os.open(m.p("maps", "a", "map"), os.O_RDWR)
    with pytest.raises(OSError):
        mapping(fd, PAGE, READ)
    with pytest.raises(PermissionError):
        os.open(mem, os.O_RDWR)
    fd2 = os.open(mem, os.O_RDONLY)
    with pytest.raises(PermissionError):
        mapping(fd2, PAGE, READ | WRITE)
    view = mapping(fd2, PAGE, READ)
    assert LIBC.mprotect(ctypes.byref(view), PAGE, READ | WRITE) == -1
    m.sh("echo 9 > $M/maps/a/entries/3")
    assert struct.unpack_from("<Q", view, 24) == (9,)
    assert os.pread(fd2, 8, 24) == struct.pack("<Q", 9)
    os.close(fd)
    os.close(fd2)
    m.sh("rm -r $M/maps/a")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_mem_of_a_user(user_mount):
    """Without root: a link to the memory, for the server's user."""
    m = user_mount.start()
    array(m, "a", "0x400")
    m.sh("test -L $M/maps/a/mem; echo 6 > $M/maps/a/entries/1")
    poke = ("/usr/bin/python3 -c 'import mmap,os,struct,sys; fd=os.open(sys.argv[1], os.O_RDWR); "
            "v=mmap.mmap(fd,4096); print(struct.unpack_from(\"<Q\",v,8)[0]); v[16:24]=struct.pack(\"<Q\",7)' %s")
    assert m.out(poke % "$M/maps/a/mem") == "6\n"
    assert m.out("cat $M/maps/a/entries/2") == "7\n"
    m.sh("rm -r $M/maps/a")
    array(m, "c", "0x480")  # constants: sealed
    m.sh("echo 4 > $M/maps/c/entries/0; test $(od -An -td8 -N8 $M/maps/c/mem) = 4")
    m.fails("echo x >> $M/maps/c/mem", "Permission denied")
    m.fails(poke % "$M/maps/c/mem", "PermissionError")
    m.sh("echo 5 > $M/maps/c/entries/0; test $(od -An -td8 -N8 $M/maps/c/mem) = 5; rm -r $M/maps/c")


def test_a_look_is_cheap_whatever_the_types(m):
    """Types that fan out take long to print: stat(2) gives a bound then, and a reader that is killed goes."""
    m.load("fan_out")
    fd = os.open(m.p("maps", "many", "map"), os.O_RDWR)
    for first in range(0, 32768, 1024):
        call(fd, MAP_UPDATE_BATCH, b"".join(struct.pack("=2I", k, k) for k in range(first, first + 1024)), count=1024)
    os.close(fd)
    assert os.stat(m.p("maps", "many", "dump.json")).st_size >= 32768 * len('{"key":1,"value":1},')
    assert os.stat(m.p("maps", "many", "dump")).st_size >= 32768 * len("1 1")
    m.sh("cat $M/maps/many/dump.json > /dev/null & sleep 1; kill -9 $!; wait $!; test $? = 137")
    assert m.read("maps", "fan_out.bss", "vars", "one") == "0\n"
