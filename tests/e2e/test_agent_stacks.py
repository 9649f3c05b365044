"""
The files that a sampled process has mapped, and its /proc: read by a process that is the client, and waited for by nobody
but who asked. Hostile files, mounts that never answer, processes that end in the middle.
"""
import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest

from conftest import BUILD, USERS, WAIT, as_user, needs_root, wait_for
from test_agent import agent, hostile
from test_events import BURN, build_id, burn, count, perf, stats, wait_count  # noqa: F401 (burn is a fixture)

# Maps the file as code, says so, and computes in a process of that name.
MAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDONLY)
if libc.mmap(None, ctypes.c_size_t(4096), 5, 2, fd, ctypes.c_long(0)) == ctypes.c_void_p(-1).value:
    sys.exit("mmap: %d" % ctypes.get_errno())
print("mapped", flush=True)
while True: sum(range(1000))
"""


@contextlib.contextmanager
def mapper(path, user=None):
    p = subprocess.Popen([sys.executable, "-c", MAPPER, path], stdout=subprocess.PIPE, text=True, **as_user(user))
    try:
        assert p.stdout.readline() == "mapped\n"
        yield p
    finally:
        p.kill()
        p.wait(WAIT)


def allow(m, prog, *maps):
    m.sh("chmod 666 $M/progs/%s/prog; chmod 755 $M/progs/%s" % (prog, prog))
    for name in maps:
        m.sh("chmod 666 $M/maps/%s/map; chmod 755 $M/maps/%s" % (name, name))


def echo(m, pid, user):
    """The write of `symbols`, which may not end: the shell that waits for it."""
    return subprocess.Popen(["bash", "-c", "echo %d > %s" % (pid, m.p("maps", "user_stacks", "symbols"))],
                            stderr=subprocess.PIPE, text=True, **as_user(user if user is not None else m.user))


def others_go_on(m):
    start = time.monotonic()
    m.sh("cat $M/maps/user_stacks/dump $M/maps/user_stacks/symbols > /dev/null; echo off > $M/maps/user_stacks/symbols")
    m.sh("mkdir $M/maps/x; rmdir $M/maps/x")
    assert time.monotonic() - start < WAIT / 2


# ---- symbols

def test_symbols_never_answered(m):
    """Writers wait for as long as they like, nobody else does, and a signal ends a writer."""
    m.load("event_samples")
    user = None if os.geteuid() else USERS[0]
    allow(m, "sample", "user_stacks")
    with hostile(m, "read", user=user) as (path, fuse), mapper(path, user) as p:
        waiting = [echo(m, p.pid, user) for _ in range(8)]  # more than there are workers
        wait_for(lambda: len(agent(m)[1]) >= 8, "the readers")
        others_go_on(m)
        assert all(w.poll() is None for w in waiting)
        for w in waiting:
            w.send_signal(signal.SIGKILL if w.pid % 2 else signal.SIGINT)
        for w in waiting:
            w.wait(WAIT)
        assert m.read("maps", "user_stacks", "symbols") == "off\n"
        others_go_on(m)
    wait_for(lambda: not agent(m)[1], "the readers to end with their mount")


def test_symbols_and_the_servers_end(m):
    """A server with a reader that hangs ends in order, and by SIGKILL."""
    m.load("event_samples")
    user = None if os.geteuid() else USERS[0]
    allow(m, "sample", "user_stacks")
    for kill in True, False:
        with hostile(m, "read", user=user) as (path, fuse), mapper(path, user) as p:
            w = echo(m, p.pid, user)
            wait_for(lambda: agent(m)[1], "the reader")
            if kill:
                m.restart()
            else:
                m.proc.terminate()
                m.proc.wait(WAIT)
                m.start()
            w.wait(WAIT)
        shutil.rmtree(os.path.join(m.base, "hostile"))


def test_symbols_of_many_mappings(m):
    """As many as the kernel lets a process have."""
    m.load("event_samples")
    with open("/proc/sys/vm/max_map_count") as f:
        most = int(f.read())
    n = min(most, 100000) - 1000
    p = subprocess.Popen([sys.executable, "-c", """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(%d // 2):
    libc.mmap(None, 4096, 5, 2, fd, 4096)   # of a file: each is its own
    libc.mmap(None, 4096, 5, 2, fd, 0)
print("mapped", flush=True)
sys.stdin.read()
""" % n, BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "mapped\n"
        with open("/proc/%d/maps" % p.pid) as f:
            assert sum(" r-xp " in line for line in f) > n // 2
        m.sh("echo %d > $M/maps/user_stacks/symbols" % p.pid)
        assert m.read("maps", "user_stacks", "symbols") == "%d\n" % p.pid
    finally:
        p.kill()
        p.wait(WAIT)


def test_symbols_of_what_ends(m):
    """A process that ends while it is read: names of what was there, or ESRCH; nothing else."""
    m.load("event_samples")
    for delay in (0, .0005, .001, .002, .004, .008):
        for _ in range(4):
            p = subprocess.Popen([BURN, "60"], stdout=subprocess.DEVNULL)
            w = echo(m, p.pid, None)
            time.sleep(delay)
            p.kill()
            err = w.communicate(timeout=WAIT)[1]
            p.wait(WAIT)
            assert not w.returncode or "No such process" in err, err
    wait_for(lambda: not agent(m)[1], "the readers to end")


def test_symbol_names_make_no_lines(m, burn):  # noqa: F811
    """A name of a hostile file with a newline or an escape sequence in it."""
    m.load("event_samples")
    path = os.path.join(m.base, "evil")
    with open(BURN, "rb") as f:
        data = f.read()
    assert b"count_primes\0" in data
    with open(path, "wb") as f:
        f.write(data.replace(b"count_primes\0", b"\n\x1b[2Jprimes\0"[:8] + b"abcde"[:4] + b"\0"))
    os.chmod(path, 0o755)
    p = subprocess.Popen([path, "100"], stdout=subprocess.DEVNULL)
    try:
        perf(m, "cpu", p.pid)
        m.sh("echo %d > $M/maps/user_stacks/symbols" % p.pid)
        wait_for(lambda: "??[2J" in m.read("maps", "user_stacks", "dump"), "the name")
        assert "\x1b" not in m.read("maps", "user_stacks", "dump")
    finally:
        p.kill()
        p.wait(WAIT)


def test_links_in_a_hostile_root(m):
    """Root reads a user's process whose files became links: to what only root may open, to a FIFO, to a device."""
    needs_root("reads other users' processes")
    m.load("event_samples")
    user = USERS[0]
    where = os.path.join(m.base, "own")
    os.mkdir(where)
    os.chown(where, user, user)
    path = os.path.join(where, "f")
    shutil.copy(BURN, path)
    os.chmod(path, 0o755)
    with mapper(path, user) as p:
        for target in ("/dev/tty", "/proc/self/fd/3", "/proc/self/mem", os.path.join(where, "fifo")):
            os.unlink(path)
            if target.endswith("fifo"):
                os.mkfifo(path, 0o666)
            else:
                os.symlink(target, path)
            m.sh("echo %d > $M/maps/user_stacks/symbols" % p.pid)
    wait_for(lambda: not agent(m)[1], "the readers")


# ---- stacks of samples

def damage(data, seed):
    """Bytes of the tables that unwinding and build ids are read from."""
    out = bytearray(data)
    shoff, = struct.unpack_from("<Q", data, 40)
    shnum, shstr = struct.unpack_from("<HH", data, 60)
    for i in range(shnum):
        kind, = struct.unpack_from("<I", data, shoff + i * 64 + 4)
        flags, addr, off, size = struct.unpack_from("<QQQQ", data, shoff + i * 64 + 8)
        name, = struct.unpack_from("<I", data, shoff + i * 64)
        names_off, = struct.unpack_from("<Q", data, shoff + shstr * 64 + 24)
        name = data[names_off + name:data.index(b"\0", names_off + name)]
        if name in (b".eh_frame", b".eh_frame_hdr", b".note.gnu.build-id", b".debug_frame"):
            for k in range(off, off + size):
                seed = (seed * 1103515245 + 12345) & 0x7fffffff
                if seed >> 16 & 3 == 0:
                    out[k] = seed >> 8 & 255
    return bytes(out)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="unwinding by dwarf is for x86-64")
def test_damaged_tables(m):
    """Frame tables and notes of random bytes: wrong stacks or errors; the server and other sources go on."""
    m.load("event_samples")
    m.load("event_build_ids")
    with open(BURN, "rb") as f:
        data = f.read()
    good = subprocess.Popen([BURN, "100"], stdout=subprocess.DEVNULL)
    perf(m, "good", good.pid, extra=(("unwind", "dwarf"),))
    try:
        for seed in range(4):
            path = os.path.join(m.base, "damaged%d" % seed)
            with open(path, "wb") as f:
                f.write(damage(data, seed))
            os.chmod(path, 0o755)
            p = subprocess.Popen([path, "60"], stdout=subprocess.DEVNULL)
            try:
                perf(m, "bad%d" % seed, p.pid, extra=(("unwind", "dwarf"),),
                     prog="stack_to_memory" if seed % 2 else "sample")
                wait_count(m, "bad%d" % seed, "run", 30)
                m.sh("echo %d > $M/maps/user_stacks/symbols; rmdir $M/events/bad%d" % (p.pid, seed))
            finally:
                p.kill()
                p.wait(WAIT)
        before = count(m, "good", "run")
        wait_count(m, "good", "run", before + 30)
        assert count(m, "good", "errors") == 0
    finally:
        good.kill()
        good.wait(WAIT)


def test_stacks_never_answered(m, burn):  # noqa: F811
    """A process whose file hangs costs its source errors, and the others nothing."""
    m.load("event_build_ids")
    user = None if os.geteuid() else USERS[0]
    allow(m, "stack_to_memory", "statuses", "id_stacks")
    perf(m, "good", burn().pid, prog="stack_to_memory")
    with hostile(m, "read", user=user) as (path, fuse), mapper(path, user) as p:
        perf(m, "bad", p.pid, prog="stack_to_memory", user=user)
        wait_count(m, "bad", "seen", 10)
        before = count(m, "good", "run")
        wait_count(m, "good", "run", before + 100)
        assert count(m, "good", "errors") == 0
        wait_count(m, "bad", "errors", 10)  # after its time it is given up
        wait_count(m, "bad", "run", 10)  # and the program runs with addresses
        others = time.monotonic()
        m.sh("rmdir $M/events/bad")  # also while it waits
        assert time.monotonic() - others < WAIT / 2


def test_a_reader_that_is_killed(m, burn):  # noqa: F811
    """By its own user, who may: the next one answers again."""
    m.load("event_build_ids")
    perf(m, "cpu", burn().pid, prog="stack_to_map")
    wait_count(m, "cpu", "run", 20)
    wait_for(lambda: len(agent(m)[1]) == 1, "the process that opened the events to end")
    readers = agent(m)[1]
    os.kill(readers[0], signal.SIGKILL)
    wait_for(lambda: agent(m)[1] not in ([], readers), "another reader")
    before = count(m, "cpu", "run")
    wait_count(m, "cpu", "run", before + 50)
    assert stats(m, "cpu")["state"] == "running"


def test_another_program(m):
    """exec() in the sampled process: its new files' build ids, not the old ones'."""
    m.load("event_build_ids")
    other = os.path.join(m.base, "other")
    shutil.copy(BURN, other)
    if subprocess.run(["objcopy", "--remove-section", ".note.gnu.build-id", other]).returncode:
        pytest.skip("objcopy")
    p = subprocess.Popen(["bash", "-c", "read x; '%s' 1 > /dev/null; exec '%s' 60 > /dev/null" % (other, BURN)],
                         stdin=subprocess.PIPE)
    try:
        perf(m, "cpu", p.pid, prog="stack_to_map")
        p.stdin.write(b"go\n")
        p.stdin.flush()
        wait_for(lambda: build_id(BURN) in m.read("maps", "id_stacks", "dump"), "build ids of the second program")
    finally:
        p.kill()
        p.wait(WAIT)
