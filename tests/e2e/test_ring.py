"""Ring buffers that a client maps: the mini library's consumer, and what a hostile one can do."""
import ctypes
import errno
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

from conftest import BUILD, SLOW, USERS, WAIT, wait_for

PAGE, SIZE = 4096, 1 << 20
READ, WRITE, SHARED, FIXED = 1, 2, 1, 0x10
MAP_FAILED = ctypes.c_void_p(-1).value
FN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t)
NO_WAKEUP, FORCE_WAKEUP = 1, 2

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def client(path):
    lib = ctypes.CDLL(os.path.join(BUILD, "libubpffs-client.so"), use_errno=True)
    lib.ubpfc_ring_open.restype = ctypes.c_void_p
    lib.ubpfc_ring_consume.restype = ctypes.c_long
    lib.ubpfc_ring_consume.argtypes = [ctypes.c_void_p, FN, ctypes.c_void_p]
    lib.ubpfc_ring_wait.argtypes = [ctypes.c_void_p, ctypes.c_int]
    lib.ubpfc_ring_fd.argtypes = lib.ubpfc_ring_close.argtypes = [ctypes.c_void_p]
    lib.ubpfc_ring_close.restype = None
    assert lib.ubpfc_mount(path.encode()) == 0
    return lib


class Ring:
    """A consumer: checks that every record is the next one."""

    def __init__(self, m, path="maps/stream/map", expect=0):
        self.lib, self.next = client(m.path), expect
        fd = os.open(m.p(path), os.O_RDWR)
        self.ring = self.lib.ubpfc_ring_open(fd)
        os.close(fd)
        assert self.ring, os.strerror(ctypes.get_errno())
        self.bad = None
        self.stop_at = None
        self.fn = FN(self.record)

    def record(self, ctx, data, size):
        if size != 16 or data[0] != self.next or data[1] != self.next * 7 + 1:
            self.bad = (size, data[0], data[1], self.next)
            return 1
        self.next += 1
        return self.next == self.stop_at

    def consume(self):
        n = self.lib.ubpfc_ring_consume(self.ring, self.fn, None)
        assert not self.bad, self.bad
        return n

    def wait(self, ms=WAIT * 1000):
        return self.lib.ubpfc_ring_wait(self.ring, ms)

    def close(self):
        if self.ring:
            self.lib.ubpfc_ring_close(self.ring)
        self.ring = None
        self.lib.ubpfc_mount(None)

    def until(self, count):
        self.stop_at = count
        while self.next < count:
            if not self.consume():
                assert self.wait() == 1, "no record came after %d" % self.next


@pytest.fixture
def ring(m):
    m.load("ring_stream")
    rings = []

    def make(*args, **kwargs):
        rings.append(Ring(m, *args, **kwargs))
        return rings[-1]
    yield make
    for r in rings:
        r.close()


class Producer(threading.Thread):
    """Test runs in a row, until stopped."""

    def __init__(self, m, repeat=200):
        super().__init__()
        self.lib, self.repeat, self.stopped = client(m.path), repeat, False
        self.fd = os.open(m.p("progs/stream_records/prog"), os.O_RDWR)
        self.start()

    def run(self):
        while not self.stopped and self.lib.ubpfc_prog_test_run(self.fd, self.repeat, bytes(64), 64,
                                                             None, None, None, None) == 0:
            pass

    def end(self):
        self.stopped = True
        self.join()
        os.close(self.fd)


def one(m, flags=0):
    m.run("stream_one", "(printf '\\%03o'; head -c 63 /dev/zero)" % flags)


def mapping(fd, size, prot, off=0, at=None):
    p = LIBC.mmap(at, size, prot, SHARED | (FIXED if at else 0), fd, off)
    if p == MAP_FAILED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return p


def need_passthrough(m):
    if os.path.islink(m.p("maps/stream/ring")):
        pytest.skip("no FUSE passthrough here (it takes root and Linux 6.9)")


@pytest.mark.parametrize("count", [1100000])
def test_a_million_records(m, ring, count):
    if SLOW > 1:
        count = 200000
    r, producer = ring(), Producer(m)
    try:
        r.until(count)
    finally:
        producer.end()
    r.stop_at = None
    while r.consume():
        pass
    assert r.next >= count and str(r.next) == m.info("maps/stream/stats")["updates"]
    assert m.info("maps/stream/stats")["entries"] == "0"


def test_files(m, ring):
    """What is there, and with which rights."""
    files = os.listdir(m.p("maps/stream"))
    assert {"consumer", "ring", "records", "map"} <= set(files) and "mem" not in files
    need_passthrough(m)
    bits = os.stat(m.p("maps/stream/map")).st_mode & 0o777
    assert os.stat(m.p("maps/stream/consumer")).st_mode & 0o777 == bits
    assert os.stat(m.p("maps/stream/ring")).st_mode & 0o777 == bits & 0o444
    with pytest.raises(PermissionError):
        os.open(m.p("maps/stream/ring"), os.O_RDWR)
    assert "reading only" in m.log()
    number = m.info("maps/stream/info")["id"]
    assert os.listdir(m.p("ids/ring")) == os.listdir(m.p("ids/consumer")) == [number]
    with pytest.raises(PermissionError):
        os.open(m.p("ids/ring", number), os.O_RDWR)
    m.fails("cat $M/ids/ring/999", "No such file")
    m.sh("chmod 640 $M/maps/stream/map")
    m.fails("cat $M/maps/stream/ring", "Permission denied", user=USERS[0])
    m.fails("cat $M/ids/consumer/%s" % number, "Permission denied", user=USERS[0])
    m.sh("chmod 644 $M/maps/stream/map")
    m.sh("cat $M/maps/stream/ring > /dev/null", user=USERS[0])
    m.fails("exec 3<>$M/maps/stream/consumer", "Permission denied", user=USERS[0])
    m.sh("mkdir $T/copy && cp -r $M/maps/stream/ring $M/ids/consumer $T/copy")


def test_only_the_position_can_be_written(m, ring):
    need_passthrough(m)
    fds = [os.open(m.p(n), os.O_RDONLY) for n in ("maps/stream/ring", "maps/stream/map")]
    views = [mapping(fds[0], PAGE + SIZE, READ, PAGE)]
    try:
        assert LIBC.mprotect(ctypes.c_void_p(views[0]), PAGE, READ | WRITE) == -1
        with pytest.raises(PermissionError):
            mapping(fds[0], PAGE + SIZE, READ | WRITE, PAGE)
        with pytest.raises(OSError) as e:
            mapping(fds[1], PAGE, READ)
        assert e.value.errno == errno.ENODEV
        fd = os.open(m.p("maps/stream/consumer"), os.O_RDWR)
        fds.append(fd)
        with pytest.raises(PermissionError):
            os.write(fd, b"x")
        with pytest.raises(OSError):
            os.posix_fallocate(fd, 0, 10 * PAGE)
        os.ftruncate(fd, 0)  # changes nothing
        page = mapping(fd, PAGE, READ | WRITE)
        views.append(page)
        one(m)
        assert m.out("cat $M/progs/stream_one/run").splitlines()[0] == "retval: 24"
        ctypes.c_uint64.from_address(page).value = 24
        one(m)
        assert m.out("cat $M/progs/stream_one/run").splitlines()[0] == "retval: 24"
        assert ctypes.c_uint64.from_address(views[0]).value == 48
    finally:
        for v in views:
            LIBC.munmap(v, PAGE + SIZE if v == views[0] else PAGE)
        for fd in fds:
            os.close(fd)


def test_poll_and_epoll(m, ring):
    r = ring()
    fd = r.lib.ubpfc_ring_fd(r.ring)
    epoll, poll = select.epoll(), select.poll()
    epoll.register(fd, select.EPOLLIN)
    poll.register(fd, select.POLLIN)
    assert not epoll.poll(0) and not poll.poll(0) and r.wait(0) == 0
    for i in range(20):
        threading.Timer(0.01 if i % 2 else 0, one, (m,)).start()
        waiter = epoll.poll if i % 3 else lambda s: poll.poll(s * 1000)
        assert waiter(WAIT), i
        assert epoll.poll(0) and poll.poll(0)  # until it is consumed
        assert r.consume() == 1
        assert not poll.poll(0) and not epoll.poll(0)
    epoll.close()


def test_wakeup_flags(m, ring):
    r = ring()
    epoll = select.epoll()
    epoll.register(r.lib.ubpfc_ring_fd(r.ring), select.EPOLLIN)  # from here on it waits, and asks again only when told
    one(m, NO_WAKEUP)
    assert not epoll.poll(0.3)
    one(m)  # behind another: not told
    assert not epoll.poll(0.3)
    one(m, FORCE_WAKEUP)
    assert epoll.poll(WAIT)
    assert r.consume() == 3
    epoll.close()


def test_mapping_and_reading_in_turn(m, ring):
    """One after the other they have every record once; a reader that waits is woken."""
    r = ring()
    for _ in range(3):
        one(m)
    r.stop_at = 1
    assert r.consume() == 1
    fd = os.open(m.p("maps/stream/records"), os.O_RDONLY | os.O_NONBLOCK)
    lines = os.read(fd, 4096).decode().splitlines()
    assert [int.from_bytes(bytes.fromhex(line)[:8], "little") for line in lines] == [1, 2]
    with pytest.raises(BlockingIOError):
        os.read(fd, 4096)
    os.close(fd)
    assert r.consume() == 0 and r.wait(0) == 0
    r.next, r.stop_at = 3, None
    reader = subprocess.Popen(["head", "-n", "1", m.p("maps/stream/records")], stdout=subprocess.PIPE)
    m.wait_parked(1)
    one(m)
    out = reader.communicate(timeout=WAIT)[0].decode()
    assert bytes.fromhex(out)[:8] == struct.pack("<Q", 3)
    one(m)
    r.next = 4
    assert r.wait() == 1 and r.consume() == 1


def test_by_id_and_by_passed_descriptor(m, ring):
    number = m.info("maps/stream/info")["id"]
    r = ring(path="ids/map/" + number)
    m.sh("mkdir $M/app; ln $M/maps/stream/map $M/app/pin; rm -r $M/maps/stream; ls $M/ids/ring")
    one(m)
    assert r.wait() == 1 and r.consume() == 1
    r2 = ring(path="app/pin", expect=1)
    one(m)
    assert r2.wait() == 1 and r2.consume() == 1
    lib = r.lib
    fd = lib.ubpfc_create_map(1, 4, 4, 1, 0)
    assert not lib.ubpfc_ring_open(fd) and ctypes.get_errno() == errno.EINVAL
    os.close(fd)


def read_all(fd):
    text = b""
    try:
        while True:
            text += os.read(fd, 1 << 20)
    except OSError as e:
        assert e.errno in (errno.EAGAIN, errno.EBADMSG)
    return text.decode()


def test_hostile_consumer(m, ring):
    """It writes whatever it wants to its page: the server, its programs and the next consumer go on."""
    need_passthrough(m)
    rnd, producer = random.Random(5), Producer(m)
    fd = os.open(m.p("maps/stream/consumer"), os.O_RDWR)
    page = mapping(fd, PAGE, READ | WRITE)
    os.close(fd)
    words = (ctypes.c_uint64 * 512).from_address(page)
    reader = os.open(m.p("maps/stream/records"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for _ in range(200):
                words[0] = rnd.choice([rnd.getrandbits(64), words[0] - 8 * rnd.randrange(4096), words[0] + 4,
                                       words[0] + rnd.randrange(1 << 21), 0, (1 << 64) - 1])
                words[rnd.randrange(512)] = rnd.getrandbits(64)
            try:
                os.read(reader, 65536)
            except OSError as e:
                assert e.errno in (errno.EAGAIN, errno.EBADMSG)
        producer.end()
        words[0] = (1 << 64) - 8
        read_all(reader)
        seq = None
        for _ in range(5):  # what waits may be dropped once
            one(m)
            text = read_all(reader)
            if text:
                seq = int.from_bytes(bytes.fromhex(text.splitlines()[-1])[:8], "little")
                break
        assert seq is not None
        assert m.metrics()["maps_live"] == 2
    finally:
        os.close(reader)
        LIBC.munmap(page, PAGE)
    one(m)
    r = ring(expect=seq + 1)
    assert r.wait() == 1 and r.consume() == 1


def test_position_of_long_ago(m, ring):
    """Another consumer sets the position back to what was overwritten since: an error, and nothing is read there."""
    need_passthrough(m)
    r, producer = ring(), Producer(m)
    r.until(3 * SIZE // 24)
    producer.end()
    r.stop_at = None
    while r.consume():
        pass
    fd = os.open(m.p("maps/stream/consumer"), os.O_RDWR)
    page = mapping(fd, PAGE, READ | WRITE)
    os.close(fd)
    try:
        for pos in (0, 8, 16, 24, SIZE):
            ctypes.c_uint64.from_address(page).value = pos
            assert (r.consume(), ctypes.get_errno()) == (-1, errno.EBADMSG)
    finally:
        LIBC.munmap(page, PAGE)


CHILD = r"""
import os, sys, ctypes
sys.path.insert(0, %r)
from test_ring import Ring
class M:
    path = sys.argv[1]
    def p(self, n): return os.path.join(self.path, n)
r = Ring(M(), expect=int(sys.argv[2]))
orig = r.record
def record(ctx, data, size):
    ret = orig(ctx, data, size)
    os.write(1, b"%%d\n" %% (r.next - 1))
    return ret
from test_ring import FN
r.fn = FN(record)
while True:
    if not r.consume() and r.wait() != 1:
        sys.exit(1)
"""


def test_killed_consumers(m, ring):
    """SIGKILL at any moment: the next one goes on, at most the record at hand comes twice."""
    producer, expect = Producer(m, repeat=10), 0
    try:
        for _ in range(4):
            out = os.path.join(m.base, "seen")
            with open(out, "wb") as f:
                child = subprocess.Popen([sys.executable, "-c", CHILD % os.path.dirname(__file__), m.path,
                                          str(expect)], stdout=f, start_new_session=True)
            wait_for(lambda: os.path.getsize(out), "the consumer")
            time.sleep(0.1)
            os.kill(child.pid, signal.SIGKILL)
            child.wait(WAIT)
            with open(out) as f:
                seen = [int(line) for line in f]
            assert seen and seen[0] in (expect, expect - 1) and seen == list(range(seen[0], seen[-1] + 1))
            expect = seen[-1] + 1
            # Was the last one given back before the end? The ring says so.
            r = ring(expect=expect)
            r.fn = FN(lambda ctx, data, size, r=r: setattr(r, "first", data[0]) or 1)
            while not r.lib.ubpfc_ring_consume(r.ring, r.fn, None):
                assert r.wait() == 1
            assert r.first in (expect - 1, expect)
            expect = r.first + 1
            r.close()
    finally:
        producer.end()


@pytest.mark.parametrize("how", ["kill", "umount"])
def test_restart_with_unread_records(m, ring, how):
    """A mapping goes on with what waits while there is no server, and with the next server's records."""
    need_passthrough(m)
    for _ in range(10):
        one(m)
    r = ring()
    r.until(3)
    if how == "umount":
        r.close()
        m.restart(kill=False)
    else:
        m.kill()
        assert r.wait(0) == -1 and ctypes.get_errno() == errno.ENOTCONN
        r.until(5)
        m.start()
        r.until(7)  # the same memory
    expect = r.next
    r.close()
    r = ring(expect=expect)
    one(m)
    while r.next < 10:
        assert r.consume()
    r.next = 10 if how == "umount" else r.next
    r.close()
    assert m.metrics()["maps_live"] == 2


def test_of_a_user(user_mount):
    """Without root: links to the two files, for the server's user."""
    m = user_mount.start()
    m.load("ring_stream")
    m.sh("test -L $M/maps/stream/ring -a -L $M/maps/stream/consumer")
    one(m)
    one(m)
    script = os.path.join(m.base, "consume.py")
    with open(script, "w") as f:
        f.write("""
import ctypes, os, sys
lib = ctypes.CDLL(sys.argv[1], use_errno=True)
lib.ubpfc_ring_open.restype = ctypes.c_void_p
FN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t)
assert lib.ubpfc_mount(os.environ["M"].encode()) == 0
fd = os.open(os.environ["M"] + "/maps/stream/map", os.O_RDWR)
ring = ctypes.c_void_p(lib.ubpfc_ring_open(fd))
assert ring, os.strerror(ctypes.get_errno())
assert lib.ubpfc_ring_wait(ring, 1000) == 1
fn = FN(lambda ctx, data, size: print(size, data[0]) or 0)
assert lib.ubpfc_ring_consume(ring, fn, None) == 2
assert lib.ubpfc_ring_wait(ring, 0) == 0
""")
    lib = os.path.join(m.base, "client.so")
    subprocess.run(["cp", os.path.join(BUILD, "libubpffs-client.so"), lib], check=True)
    assert m.out("/usr/bin/python3 %s %s" % (script, lib)) == "16 0\n16 1\n"
    m.sh("! timeout 0.2 cat $M/maps/stream/records")
