"""
ubpfctl run: programs as people write them (a libbpf skeleton, static too), threads, children, other programs, and what
happens when one of the three ends: the command, the supervisor, the server. Nobody hangs.
"""
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import pytest

from bpf2 import BPFTOOL, CTL, PRELUDE, PYTHON, can_run, kernel_serves, same_as_kernel, script, under_run
from conftest import PROGS, WAIT, wait_for
from test_run_cgroup import host_cgroups

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def client():
    """The compiled client, by how it is linked."""
    if not shutil.which("cc") or not BPFTOOL:
        pytest.skip("no cc or no bpftool here")
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        with open(os.path.join(base, "skeleton.skel.h"), "w") as f:
            subprocess.run([BPFTOOL, "gen", "skeleton", os.path.join(PROGS, "skeleton.bpf.o"), "name", "skeleton"],
                           stdout=f, check=True)

        def build(*flags, source="skeleton_client.c"):
            out = os.path.join(base, source[:-2] + "".join(flags))
            r = subprocess.run(["cc", *flags, "-I", base, "-o", out, os.path.join(HERE, source), "-lbpf",
                                "-lelf", "-lz"], capture_output=True, text=True)
            if "cannot find -l" in r.stderr or "bpf/bpf.h: No such file" in r.stderr:
                pytest.skip("what the client is linked with is not here: " + r.stderr[-300:])
            assert r.returncode == 0, r.stderr
            return out
        yield build


EXPECTED = """attached: 1, flags 2
attached: 0
run of 60: 1
run of 100: 1
run of 60: 1
run of 80: 1
event 2: 60 bytes (8)
event 4: 100 bytes (8)
event 6: 60 bytes (8)
event 102: 80 bytes (8)
polled: 4
seen 102, total 1300
mapped 200 0 100 7
by_len[60] 2
update: Operation not permitted
"""


def run_client(m, program):
    os.mkdir(m.p("cgroup/s"))
    if m.user is not None and not os.geteuid():
        os.chown(m.p("cgroup/s"), m.user, m.user)
    r = under_run(m, program, m.p("cgroup/s"))
    assert r.stdout == EXPECTED, r.stdout + r.stderr


def test_skeleton(m, client):
    can_run(m)
    run_client(m, client())
    if not kernel_serves() or not host_cgroups():
        return
    cgroup = os.path.join(host_cgroups(), "t" + uuid.uuid4().hex[:8])
    os.mkdir(cgroup)
    try:
        r = subprocess.run([client(), cgroup], capture_output=True, text=True, timeout=WAIT)
        assert r.stdout == EXPECTED, r.stdout + r.stderr
    finally:
        os.rmdir(cgroup)


def test_skeleton_of_an_ordinary_user(user_mount, client):
    m = user_mount.start()
    can_run(m)
    r = under_run(m, "mkdir", m.p("cgroup/s"))
    assert r.returncode == 0, r.stderr
    r = under_run(m, client(), m.p("cgroup/s"))
    assert r.stdout == EXPECTED, r.stdout + r.stderr


def test_static_skeleton(m, client):
    can_run(m)
    run_client(m, client("-static"))


def test_threads_and_children(m):
    can_run(m)
    assert script(m, r"""
import subprocess, threading
fd = map_create(1, 4, 8, 1000)
bad = []

def work(base):
    for i in range(base, base + 50):
        key, value, got = buf(struct.pack("<I", i)), buf(struct.pack("<Q", i * 7)), buf(b"", 8)
        if bpf(UPDATE, "IIQQQ", fd, 0, ptr(key), ptr(value), 0)[0] or \
           bpf(LOOKUP, "IIQQQ", fd, 0, ptr(key), ptr(got), 0)[0] or struct.unpack("<Q", got.raw) != (i * 7,):
            bad.append(i)

children = []
for c in range(3):
    pid = os.fork()
    if not pid:
        work(500 + 100 * c)
        os._exit(len(bad))
    children.append(pid)
threads = [threading.Thread(target=work, args=(50 * n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
codes = [os.waitpid(pid, 0)[1] for pid in children]
os.set_inheritable(fd, True)
again = subprocess.run([sys.executable, "-c", "import sys; sys.exit(7)"]).returncode
keys, key = 0, None
while True:
    next = buf(b"", 4)
    if bpf(NEXT_KEY, "IIQQ", fd, 0, ptr(key), ptr(next))[0]:
        break
    keys, key = keys + 1, next
print(json.dumps([bad, codes, again, keys]))
""") == [[], [0, 0, 0], 7, 550]


def test_other_programs(m):
    """Through a shell, and by execve in place."""
    can_run(m)
    r = under_run(m, "sh", "-c", "%s map create %s type hash key 4 value 4 entries 1 name x && exec %s -j map show" %
                  (BPFTOOL, m.p("x"), BPFTOOL))
    assert r.returncode == 0 and json.loads(r.stdout)[0]["name"] == "x", r.stderr


def test_the_supervisor_dies(m):
    """bpf(2) is ENOSYS then, and who waits for the command is told."""
    can_run(m)
    out = os.path.join(m.base, "out")
    r = under_run(m, PYTHON, "-c", PRELUDE + r"""
import signal, time
fd = map_create(1, 4, 8, 10)
supervisor = os.getppid()
os.kill(supervisor, signal.SIGKILL)
while os.getppid() == supervisor:
    time.sleep(0.01)
r = bpf(MAP_NEXT_ID, "II", 0, 0)[0]
open(%r, "w").write("%%s %%s" %% (fd > 0, name(r)))
""" % out)
    assert r.returncode == 1 and "supervisor is gone" in r.stderr

    def written():
        return os.path.exists(out) and open(out).read()
    assert wait_for(written, "the command to go on") == "True ENOSYS"


def test_the_server_dies(m):
    can_run(m)
    m.expect("taking away")
    go, out = os.path.join(m.base, "go"), os.path.join(m.base, "out")
    p = subprocess.Popen([CTL, "run", "-m", m.path, "--", PYTHON, "-c", PRELUDE + r"""
import time
fd = map_create(1, 4, 8, 10)
open(%r, "w").write("there")
while not os.path.exists(%r):
    time.sleep(0.01)
key = buf(bytes(4))
print(fd > 0, bpf(DELETE, "IIQ", fd, 0, ptr(key))[0] < 0, map_create(1, 4, 8, 10) < 0, flush=True)
""" % (out, go)], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: os.path.exists(out), "the map")
    m.kill()
    open(go, "w").close()
    assert p.communicate(timeout=WAIT)[0] == "True True True\n"


def test_the_command_dies_in_a_call(m):
    can_run(m)
    started = time.monotonic()
    p = subprocess.Popen([CTL, "run", "-m", m.path, "--", PYTHON, "-c", PRELUDE + r"""
i = buf(struct.pack("<BBhi", 0xb7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0))
p = bpf(PROG_LOAD, "IIQQIIQII16s", 1, 2, ptr(i), ptr(buf(b"GPL\0")), 0, 0, 0, 0, 0, b"long")[0]
print(os.getpid(), flush=True)
data = buf(bytes(64))
bpf(TEST_RUN, "IIIIQQII", p, 0, 64, 0, ptr(data), 0, 0x7fffffff, 0)
print("not killed", flush=True)
"""], stdout=subprocess.PIPE, text=True)
    pid = int(p.stdout.readline())
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    assert p.wait(timeout=WAIT) == 137
    assert time.monotonic() - started < WAIT and p.stdout.read() == ""


MAPPINGS = r"""
import mmap
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

def map_it(fd, size, prot=3, off=0):
    ctypes.set_errno(0)
    at = libc.mmap(None, size, prot, 1, fd, off)
    if at == ctypes.c_void_p(-1).value:
        return errno.errorcode[ctypes.get_errno()]
    ctypes.string_at(at, min(size, 4096))
    libc.munmap(at, size)
    return "ok"

array, plain = map_create(2, 4, 8, 1000, 0x400), map_create(2, 4, 8, 1000)
constants, ring = map_create(2, 4, 64, 1, 0x480), map_create(27, 0, 0, 4096)
key = buf(bytes(4))
bpf(UPDATE, "IIQQQ", constants, 0, ptr(key), ptr(buf(b"x" * 64)), 0)
frozen = name(bpf(FREEZE, "I", constants)[0])
print(json.dumps([
    map_it(array, 4096), map_it(array, 8192), map_it(array, 8193), map_it(array, 4096, 3, 4096), map_it(array, 4096, 3, 8192),
    map_it(array, 8192, 3, 4096), map_it(array, 4096, 1), map_it(plain, 4096), frozen, map_it(constants, 4096, 1),
    map_it(constants, 4096, 3), map_it(constants, 8192, 1),
    map_it(ring, 4096), map_it(ring, 4096, 1), map_it(ring, 8192, 1, 4096), map_it(ring, 3 * 4096, 1, 4096),
    map_it(ring, 4 * 4096, 1, 4096), map_it(ring, 4096, 3, 4096), map_it(ring, 4096, 1, 8192)]))
"""


def test_mappings(m):
    def check(results):
        assert results[:3] == ["ok", "ok", "EINVAL"]

    same_as_kernel(m, MAPPINGS, check)


def test_mappings_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    assert script(m, MAPPINGS)[:3] == ["ok", "ok", "EINVAL"]


def test_a_server_that_does_not_answer(m):
    """Who asks it waits; what else the command does goes on."""
    can_run(m)
    p = subprocess.Popen([CTL, "run", "-m", m.path, "--", PYTHON, "-c", PRELUDE + r"""
import threading
fd = map_create(1, 4, 8, 10)
key, value = buf(bytes(4)), buf(bytes(8))
assert bpf(UPDATE, "IIQQQ", fd, 0, ptr(key), ptr(value), 0)[0] == 0
stop = []
def work():
    while not stop:
        bpf(LOOKUP, "IIQQQ", fd, 0, ptr(key), ptr(value), 0)
t = threading.Thread(target=work)
t.start()
print("ready", flush=True)
sys.stdin.readline()
for i in range(20):
    open("/proc/self/status").read()
print("opened", flush=True)
sys.stdin.readline()
stop.append(1)
t.join()
print("ended", flush=True)
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    os.kill(m.server(), signal.SIGSTOP)
    try:
        p.stdin.write("\n")
        p.stdin.flush()
        assert select.select([p.stdout], [], [], WAIT)[0] and p.stdout.readline() == "opened\n"
    finally:
        os.kill(m.server(), signal.SIGCONT)
    assert p.communicate("\n", timeout=WAIT)[0] == "ended\n"
