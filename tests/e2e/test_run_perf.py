"""
ubpfctl run: perf events that programs output to. A consumer by libbpf's perf_buffer says the same here and on the running
kernel; bpftool's event_pipe shows what came.
"""
import json
import os
import shutil
import signal
import struct
import subprocess
import time

import pytest

from bpf2 import BPFTOOL, CTL, can_run, kernel_script, kernel_serves, script, tool, under_run
from conftest import PROGS, USERS, WAIT, as_user, needs_root, wait_for
from test_run_programs import client  # noqa: F401

HERE = os.path.dirname(os.path.abspath(__file__))
OBJECT = os.path.join(PROGS, "perf_output.bpf.o")

EXPECTED = """without events: 254
nothing: 0
run: 1
run: 1
run: 1
samples 3, right 3, lost 0
more than fits: lost some
told of all: yes, all right: yes
without events: 254
"""


@pytest.mark.parametrize("flags", [(), ("-static",)], ids=["shared", "static"])
def test_perf_buffer(m, client, flags):  # noqa: F811
    can_run(m)
    program = client(*flags, source="perf_client.c")
    r = under_run(m, program, OBJECT)
    assert r.stdout == EXPECTED, r.stdout + r.stderr
    if kernel_serves():
        r = subprocess.run([program, OBJECT], capture_output=True, text=True, timeout=WAIT)
        assert r.stdout == EXPECTED, r.stdout + r.stderr


def test_perf_buffer_of_an_ordinary_user(user_mount, client):  # noqa: F811
    m = user_mount.start()
    can_run(m)
    r = under_run(m, client(source="perf_client.c"), OBJECT)
    assert r.stdout == EXPECTED, r.stdout + r.stderr


def test_perf_buffer_of_a_user_on_roots_mount(m, client):  # noqa: F811
    needs_root("runs commands as somebody else")
    can_run(m)
    r = under_run(m, client(source="perf_client.c"), OBJECT, user=USERS[0])
    if "Permission denied" in r.stderr and not os.path.exists("/sys/module/fuse"):
        pytest.skip("no passthrough here")
    assert r.stdout == EXPECTED, r.stdout + r.stderr


def event_pipe(m):
    can_run(m)
    packet = os.path.join(m.base, "packet")
    with open(packet, "wb") as f:
        f.write(b"abcd" + bytes(60))
    os.chmod(packet, 0o644)
    assert tool(m, "prog", "loadall", OBJECT, m.p("po"), "pinmaps", m.p("pm")).returncode == 0
    out = os.path.join(m.base, "pipe")
    with open(out, "w") as f:
        p = subprocess.Popen([CTL, "run", "-m", m.path, "--", BPFTOOL, "-j", "map", "event_pipe", "pinned", m.p("pm/events")],
                             stdout=f, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, **as_user(m.user))
    run = ["-j", "prog", "run", "pinned", m.p("po/perf_output"), "data_in", packet]
    try:
        wait_for(lambda: json.loads(tool(m, *run).stdout)["retval"] == 1, "the consumer")
        assert json.loads(tool(m, *run).stdout)["retval"] == 1
        time.sleep(0.3)  # it writes at its end; a record that it has not read by then is not asked for below
    finally:
        os.killpg(p.pid, signal.SIGINT)
        p.wait(WAIT)
    records = json.loads(open(out).read())
    assert records
    assert all(r["data"] == [64, 0, 0, 0, *b"abcd", 0, 0, 0, 0] for r in records), records
    assert all(r["timestamp"] > 0 and r["cpu"] == r["index"] for r in records)
    wait_for(lambda: json.loads(tool(m, *run).stdout)["retval"] == 254, "the events to go with their consumer")


@pytest.mark.skipif(not BPFTOOL, reason="no bpftool here")
def test_event_pipe(m):
    event_pipe(m)


@pytest.mark.skipif(not BPFTOOL, reason="no bpftool here")
def test_event_pipe_of_an_ordinary_user(user_mount):
    event_pipe(user_mount.start())


OPEN = r"""
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def event(cpu=0, config=10, sample=1 << 10, pid=-1, group=-1, flags=8, wakeup=1):
    attr = buf(struct.pack("<IIQQQQQII", 1, 112, config, 1, sample, 0, 0, wakeup, 0), 112)
    ctypes.set_errno(0)
    r = libc.syscall({"x86_64": 298}.get(os.uname().machine, 241), attr, pid, cpu, group, flags)
    return r if r >= 0 else -ctypes.get_errno()
put = lambda m, i, fd, flags=0: name(bpf(UPDATE, "IIQQQ", m, 0, ptr(buf(struct.pack("<I", i))), ptr(buf(struct.pack("<i", fd))),
                                         flags)[0])
take = lambda m, i: name(bpf(DELETE, "IIQ", m, 0, ptr(buf(struct.pack("<I", i))))[0])
def size(fd, n, off=0):
    ctypes.set_errno(0)
    at = libc.mmap(None, n, 3, 1, fd, off)
    return errno.errorcode[ctypes.get_errno()] if at == ctypes.c_void_p(-1).value else n
"""


def test_refused(m):
    can_run(m)
    found = script(m, OPEN + r"""
a = map_create(4, 4, 4, 8)
hash = map_create(1, 4, 4, 8)
e = event()
info = buf(b"", 88)
results = [e > 0, name(event(0, 10, 1)), name(event(0, 10, 1 << 10, 0)), name(event(9999)), name(event(0, 10, 1 << 10, -1, e)),
           size(e, 4096 * 4), size(e, 4096 * 3), size(e, 4096 * 3, 4096), size(e, 4096 * 3), size(e, 4096 * 5),
           put(a, 0, e), put(a, 7, e), put(a, 8, e), put(a, 0, e, 1), put(a, 0, 999), put(a, 0, hash), put(hash, 0, e),
           take(a, 7), take(a, 7), take(a, 8), name(bpf(FREEZE, "I", a)[0]), put(a, 0, e), name(bpf(INFO, "IIQ", e, 88, ptr(info))[0]),
           os.readlink("/proc/self/fd/%d" % e)]
print(json.dumps(results))
""")
    assert found == [True, "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL", 12288, "EINVAL", 12288, "EINVAL",
                     "ok", "ok", "E2BIG", "EINVAL", "EBADF", "EINVAL", "ok", "ok", "ENOENT", "E2BIG", "ok", "EPERM", "EINVAL",
                     "anon_inode:[perf_event]"], found


def test_an_event_is_its_openers(m):
    """Nobody else's records come to it: its number is no secret."""
    needs_root("acts as two users")
    can_run(m)
    os.mkdir(m.p("maps/a"))
    m.sh("cd $M/maps/a; echo perf_event_array > type; echo 4 > max_entries; chmod 666 map")
    code = r"""
import fcntl, struct, sys
IO = struct.Struct("=QQQIIII")
def call(fd, nr, payload=b"", room=0):
    b = bytearray(IO.pack(0, 0, 0, len(payload), room, 0, 0) + payload.ljust(room, b"\0"))
    fcntl.ioctl(fd, 3 << 30 | len(b) << 16 | 0xbf << 8 | nr, b, True)
    return bytes(b[IO.size:])
"""
    with open(m.p(".event"), "r+b", buffering=0) as f:
        space = {}
        exec(code, space)
        space["call"](f.fileno(), 52, struct.pack("=IIQIIQIIQ", 1, 0, 10, 0, 0, 1 << 10, 0, 0, 0))
        number = space["call"](f.fileno(), 24, b"", 8)[4:]
        put = code + "f = open(%r, 'r+b', buffering=0)\ncall(f.fileno(), 2, bytes(4) + %r)\n" % (m.p("maps/a/map"), number)
        r = subprocess.run(["/usr/bin/python3", "-c", put], capture_output=True, text=True, **as_user(USERS[0]))
        assert "PermissionError" in r.stderr, r.stderr
        assert not subprocess.run(["/usr/bin/python3", "-c", put]).returncode


SAMPLES = OPEN + r"""
import threading, time
def insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("<BBhi", code, dst | src << 4, off, imm)

def prog(type, body):
    i = buf(body + insn(0xb7) + insn(0x95))
    return bpf(PROG_LOAD, "IIQQIIQII16s", type, len(i.raw) // 8, ptr(i), ptr(buf(b"GPL\0")), 0, 0, 0, 0, 0, b"samples")[0]

counts = map_create(2, 4, 8, 1)
counting = prog(7, insn(0x18, 1, 2, 0, counts) + insn(0) + insn(0xb7, 2, 0, 0, 1) + insn(0xdb, 1, 2))
other = prog(1, b"")

def count():
    value = buf(b"", 8)
    bpf(LOOKUP, "IIQQQ", counts, 0, ptr(buf(bytes(4))), ptr(value), 0)
    return struct.unpack("<Q", value.raw)[0]

def control(fd, what, arg=0):
    ctypes.set_errno(0)
    return name(-ctypes.get_errno() if libc.ioctl(fd, ctypes.c_ulong(what), ctypes.c_ulong(arg)) else 0)
SET_BPF, ENABLE, DISABLE = 0x40042408, 0x2400, 0x2401

def samples(period=1000000, pid=0, cpu=-1, bits=0):
    attr = buf(struct.pack("<IIQQQQQII", 1, 112, 0, period, 0, 0, bits | 1 << 5, 0, 0), 112)  # exclude_kernel
    ctypes.set_errno(0)
    r = libc.syscall({"x86_64": 298}.get(os.uname().machine, 241), attr, pid, cpu, -1, 8)
    return r if r >= 0 else -ctypes.get_errno()

def grows(seconds):
    # Until it does, for so long at most; this process computes meanwhile.
    before, end = count(), time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100000))
        if count() > before:
            return True
    return False

def settled():
    while True:  # what was sampled before is on its way
        before = count()
        time.sleep(0.2)
        if count() == before:
            return
e = samples()
results = [name(min(e, 0)), control(e, SET_BPF, other), control(e, SET_BPF, 999), control(e, SET_BPF, counting),
           control(e, SET_BPF, counting), grows(WAIT), control(e, DISABLE)]
settled()
results += [grows(0.3), control(e, ENABLE), grows(WAIT)]
os.close(e)
settled()
results += [grows(0.3)]
later = samples(1000000, 0, -1, 1)  # disabled
results += [control(later, SET_BPF, counting), grows(0.3), control(later, ENABLE), grows(WAIT)]
print(json.dumps(results))
"""


def check_samples(found):
    assert found == ["ok", "EINVAL", "EBADF", "ok", "EEXIST", True, "ok", False, "ok", True, False, "ok", False, "ok", True], found


def test_samples(m):
    """A program on a perf event runs on its samples, as long as that is open and enabled."""
    can_run(m)
    text = SAMPLES.replace("WAIT", str(WAIT))
    check_samples(script(m, text))
    if kernel_serves():
        check_samples(kernel_script(text))
    assert m.read("limits", "usage").count("sources: 0/") == 1


def test_samples_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    check_samples(script(m, SAMPLES.replace("WAIT", str(WAIT))))


@pytest.mark.skipif(not shutil.which("bpftrace"), reason="no bpftrace here")
def test_bpftrace(m):
    needs_root("runs bpftrace")
    can_run(m)
    r = under_run(m, "bpftrace", "-e", 'profile:hz:99 { @[cpu] = count(); } interval:s:2 { printf("%s\\n", "tick"); exit(); }')
    assert r.returncode == 0 and "tick" in r.stdout and "@[" in r.stdout, r.stdout + r.stderr
