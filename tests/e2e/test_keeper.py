"""
A server that dies is followed by another: clients wait, and nothing else happens to them.

Clients are processes that do one thing over and over and say what went wrong. UBPFFS_KILLS says how often the server is
killed under them: 50 times, unless it is told otherwise.
"""
import contextlib
import ctypes
import errno
import mmap
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback

import pytest

import commands
from conftest import BUILD, MNT_DETACH, ROOT, SERVER, WAIT, detach, die_with_us, libc, obj, wait_for

os.environ.setdefault("UBPFFS_CLIENT", os.path.join(BUILD, "libubpffs-client.so"))
sys.path.insert(0, os.path.join(ROOT, "python"))
import ubpffs  # noqa: E402
from test_run_cgroup import LINK, can_run, script  # noqa: E402

LINK_CREATE = 43
KILLS = int(os.environ.get("UBPFFS_KILLS", "50"))


@pytest.fixture
def k(cold):
    """A server with a keeper. `cold.proc` is the keeper."""
    cold.expect(r"ended by signal|clients waited|tried again")
    return cold.start()


def server(m):
    return int(m.info("status")["pid"])


def kill(m, sig=signal.SIGKILL):
    pid = server(m)
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        raise AssertionError("the server has ended by itself:\n" + m.errors()) from None
    return pid


def kill_and_wait(m, sig=signal.SIGKILL):
    pid = kill(m, sig)
    wait_for(lambda: server(m) != pid, "the next server")


def make_map(m, name, *attrs):
    os.mkdir(m.p("maps", name))
    for line in attrs:
        attr, value = line.split()
        with open(m.p("maps", name, attr), "w") as f:
            f.write(value + "\n")


HASH = "type hash", "key_size 4", "value_size 8", "max_entries 1000"

MKDIR, READ, WRITE, RELEASE, INIT = 9, 15, 16, 18, 26  # FUSE's opcodes


class Points:
    """Where the server is killed, and which kernel it has (tests/preload/kill_at.c)."""

    def __init__(self, m):
        os.makedirs(m.state, 0o700, exist_ok=True)
        self.dir = os.path.join(m.state, "points")  # where a server in its sandbox looks
        os.mkdir(self.dir)
        preload = [os.path.join(BUILD, "tests", "kill_at.so")]
        if os.environ.get("UBPFFS_SAN"):  # its library comes before all others
            libs = subprocess.run(["ldd", SERVER], capture_output=True, text=True).stdout
            preload = re.findall(r"lib[at]san\S* => (\S+)", libs) + preload
            if len(preload) == 1:
                pytest.skip("this sanitizer is in the program, and no other library comes before it")
        m.environment = {"UBPFFS_KILL_AT": self.dir, "LD_PRELOAD": " ".join(preload)}

    def no_resend(self):
        self.put("no-resend", "")

    def needs_faults(self):
        """Before anything is held: a test that is skipped leaves nothing open."""
        if os.environ.get("UBPFFS_SAN"):
            pytest.skip("a sanitizer makes a report and an exit of a fault")

    def put(self, point, text):
        """Whole at once: the server may look at any time."""
        with open(os.path.join(self.dir, ".new"), "w") as f:
            f.write(text)
        os.rename(os.path.join(self.dir, ".new"), os.path.join(self.dir, point))

    def kill(self, m, point, opcode, act):
        """What act() gives, and that the server was killed at this point of its request."""
        pid = server(m)

        def replaced():
            try:
                return server(m) != pid
            except OSError:  # it was the next one in flight
                return False

        self.put(point, str(opcode))
        try:
            return act()
        except OSError as e:
            return e
        finally:
            wait_for(replaced, "the next server")
            assert not os.path.exists(os.path.join(self.dir, point))


@pytest.fixture
def points(cold):
    return Points(cold)


def test_what_is_open_goes_on(k):
    make_map(k, "a", *HASH)
    k.sh("echo 5 > $M/maps/a/entries/1")
    value = os.open(k.p("maps/a/entries/1"), os.O_RDONLY)
    directory = os.open(k.p("maps/a"), os.O_RDONLY)
    stats = os.open(k.p("maps/a/stats"), os.O_RDONLY)
    before = os.stat(k.p("maps/a/entries/1"))
    shell = subprocess.Popen(["bash"], cwd=k.p("maps/a"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for i in range(3):
            kill_and_wait(k)
            assert os.pread(value, 100, 0) == b"5\n"
            assert os.pread(stats, 100, 0).startswith(b"entries: 1\n")
            assert "dump" in os.listdir(directory)
            assert os.fstat(value).st_ino == before.st_ino == os.stat(k.p("maps/a/entries/1")).st_ino
            shell.stdin.write("cat entries/1; pwd\n")
            shell.stdin.flush()
            assert (shell.stdout.readline(), shell.stdout.readline()) == ("5\n", k.p("maps/a") + "\n")
    finally:
        shell.communicate()
        for fd in value, directory, stats:
            os.close(fd)
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")


AT_EMPTY_PATH, AT_STATX_FORCE_SYNC = 0x1000, 0x2000


def asked_again(fd):
    """0, or the errno: the server is asked, whatever the kernel knows of the file."""
    if not libc.statx(fd, b"", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, 0x7ff, ctypes.create_string_buffer(256)):
        return 0
    return ctypes.get_errno()


def test_every_kind_of_file_is_known_to_the_next_server(k):
    """Also those of ids/, of load directories, and what is found by a key."""
    for name, *attrs in (("hash", *HASH), ("ring", "type ringbuf", "max_entries 4096"),
                         ("array", "type array", "key_size 4", "value_size 8", "map_flags 0x400", "max_entries 3")):
        make_map(k, name, *attrs)
    k.sh("echo 5 > $M/maps/hash/entries/1")
    k.load("count_ports")
    k.sh("mkdir $M/progs/place $M/mine $M/cgroup/a $M/events/e; echo timer > $M/events/e/type")
    k.sh("ln $M/maps/hash/map $M/mine/pin; ln $M/progs/count_ports/prog $M/mine/prog; ln -s pin $M/mine/link")
    if not os.geteuid():
        k.sh("mkdir $M/limits/1000")
    fds = {}
    for path, dirs, files in os.walk(k.path):
        for name in [".", *dirs, *files]:
            name = os.path.join(path, name)
            fds[name] = os.open(name, os.O_PATH | os.O_NOFOLLOW)
    assert len(fds) > 100
    for _ in range(2):
        kill_and_wait(k)
        lost = {name: os.strerror(asked_again(fd)) for name, fd in fds.items() if asked_again(fd)}
        assert not lost
    for fd in fds.values():
        os.close(fd)


def test_an_object_without_a_name_lives_in_its_descriptor(k):
    make_map(k, "a", *HASH)
    k.sh("echo 5 > $M/maps/a/entries/1")
    fd = os.open(k.p("maps/a/map"), os.O_RDWR)
    dump = os.open(k.p("maps/a/dump"), os.O_RDONLY)
    k.sh("rm -r $M/maps/a")
    kill_and_wait(k)
    assert os.pread(dump, 100, 0) == b"1 5\n"
    assert k.metrics()["maps_live"] == 1
    os.close(fd)
    os.close(dump)
    k.wait_live(0, 0)
    assert k.objects() == []


def test_the_keeper_is_killed(k):
    k.sh("mkdir $M/mine")
    pid = server(k)
    k.proc.kill()
    k.proc.wait(WAIT)
    wait_for(lambda: not k.mounted(), "the mount to go")
    wait_for(lambda: not os.path.exists("/proc/%d" % pid), "the server to end")
    k.start()
    assert os.path.isdir(k.p("mine"))


def test_unmounting_and_signals_end_both(k):
    kill_and_wait(k)
    k.umount()
    assert "Error" not in k.errors()
    k.start()
    kill_and_wait(k)
    k.proc.terminate()
    assert k.proc.wait(WAIT) == 0
    assert not k.mounted()


def test_a_terminal_ends_both_in_order(cold):
    """Ctrl-C, or a shell that ends, reaches the server and its keeper, which passes it on."""
    for sig in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM) * 5:
        cold.start()
        pid = server(cold)
        os.killpg(cold.proc.pid, sig)
        assert cold.proc.wait(WAIT) == 0
        assert not cold.mounted() and not os.path.exists("/proc/%d" % pid)
    assert cold.errors() == ""


def test_what_is_ignored_at_the_start_ends_nobody(cold):
    """nohup, and what a shell puts into the background."""
    argv = cold.argv
    cold.argv = lambda *options: ["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh"] + argv(*options)
    cold.start()
    pid = server(cold)
    for sig in signal.SIGHUP, signal.SIGINT:
        os.killpg(cold.proc.pid, sig)
        os.kill(cold.proc.pid, sig)
    assert server(cold) == pid


def test_what_ps_shows(k):
    def comm(pid):
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    for _ in range(2):
        assert (comm(k.proc.pid), comm(server(k))) == ("ubpffs-keeper", "ubpffs")
        kill_and_wait(k)


def test_without_a_keeper_the_mount_is_dead(cold):
    cold.start("keeper=off")
    assert server(cold) == cold.proc.pid and "keeper" not in cold.metrics()
    cold.kill()
    with pytest.raises(OSError) as e:
        os.listdir(cold.path)
    assert e.value.errno == errno.ENOTCONN


def write_at(m, *names, text):
    fd = os.open(m.p(*names), os.O_WRONLY)
    try:
        return os.write(fd, text)
    finally:
        with contextlib.suppress(OSError):  # the write is what counts
            os.close(fd)


def test_a_kernel_that_sends_nothing_again(points, k):
    """What is not known to be done is EIO; nobody hangs, and all others go on."""
    points.no_resend()
    make_map(k, "a", *HASH)
    k.sh("echo 5 > $M/maps/a/entries/1")
    fd = os.open(k.p("maps/a/entries/1"), os.O_RDONLY)
    made = 0
    for point in "read", "answer", "answered":
        got = points.kill(k, point, READ, lambda: os.pread(fd, 100, 0))
        assert got == b"5\n" if point == "answered" else got.errno == errno.EIO, (point, got)
        got = points.kill(k, point, WRITE, lambda: write_at(k, "maps/a/entries/1", text=b"5\n"))
        assert got.errno == errno.EIO if point == "read" else got == 2, (point, got)
        got = points.kill(k, point, MKDIR, lambda: os.mkdir(k.p("d" + point)))
        assert got.errno == errno.EIO if point == "read" else got is None, (point, got)
        made += os.path.isdir(k.p("d" + point))
        stats = os.open(k.p("maps/a/stats"), os.O_RDONLY)
        points.kill(k, point, RELEASE, lambda: os.close(stats))
        assert os.pread(fd, 100, 0) == b"5\n"
    assert made == 2
    os.close(fd)
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")


def test_killed_between_a_request_and_its_answer(points, k):
    make_map(k, "a", *HASH)
    k.sh("echo 5 > $M/maps/a/entries/1")
    fd = os.open(k.p("maps/a/entries/1"), os.O_RDONLY)
    for point in "read", "answer", "answered":
        assert points.kill(k, point, READ, lambda: os.pread(fd, 100, 0)) == b"5\n"
        assert points.kill(k, point, WRITE, lambda: write_at(k, "maps/a/entries/1", text=b"5\n")) == 2
        assert points.kill(k, point, MKDIR, lambda: os.mkdir(k.p("d" + point))) is None
        assert os.path.isdir(k.p("d" + point))
        stats = os.open(k.p("maps/a/stats"), os.O_RDONLY)
        points.kill(k, point, RELEASE, lambda: os.close(stats))
    os.close(fd)
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")


def test_killed_at_the_first_request(points, cold):
    """Also by a kernel that sends nothing again: the INIT is answered by the next server, or was."""
    cold.expect("ended by signal|clients waited")
    for resends in True, False:
        for point in "read", "answer", "answered":
            points.put(point, str(INIT))
            cold.start()
            assert not os.path.exists(os.path.join(points.dir, point))
            name = "d%s%d" % (point, resends)
            os.mkdir(cold.p(name))
            kill_and_wait(cold)
            assert os.path.isdir(cold.p(name))
            assert cold.errors().count("was ended by signal 9 after") == 2
            cold.umount()
            os.unlink(cold.stderr)
        points.no_resend()


def test_killed_anywhere_in_a_start(points, k):
    """Each call of a server that takes over is the one that it is killed at, also with requests that wait."""
    make_map(k, "a", *HASH)
    k.sh("echo 5 > $M/maps/a/entries/1")
    k.load("count_ports")
    fd = os.open(k.p("maps/a/entries/1"), os.O_RDONLY)
    start = os.path.join(points.dir, "start")
    at = 0
    while not os.path.exists(start):
        at += 1
        points.put("start", str(at))
        kill(k)
        assert os.pread(fd, 100, 0) == b"5\n", at
        with open(k.p("maps/a/entries/1"), "w") as f:
            f.write("5\n")
        assert k.read("progs/count_ports/info")
    with contextlib.suppress(FileNotFoundError):  # it may come to that call yet
        os.unlink(start)
    assert at > 50
    os.close(fd)
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")


def test_killed_before_it_mounts(points, cold):
    """The first server: there is a mount that goes on, or none and a sentence."""
    cold.expect("ended by signal|clients waited")
    cold.expect("exit")
    start = os.path.join(points.dir, "start")
    at = 0
    while not os.path.exists(start):
        at += 5
        points.put("start", str(at))
        cold.start(check=False)
        wait_for(lambda: cold.proc.poll() is not None or cold.serving(), "the mount, or the end")
        if cold.proc.poll() is None:
            assert cold.read("version")
            cold.umount()
        else:
            assert cold.proc.poll() == 1 and "before it had mounted" in cold.errors()
            assert not cold.mounted()
    with contextlib.suppress(FileNotFoundError):  # it may come to that call yet
        os.unlink(start)


def test_a_release_that_is_sent_again_meets_no_other_file(points, k):
    for _ in range(20):
        points.kill(k, "answer", RELEASE, lambda: os.close(os.open(k.p("version"), os.O_RDONLY)))
        assert k.read("version")
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")


@pytest.mark.parametrize("flags", (0, MNT_DETACH), ids=("umount", "umount-l"))
def test_a_request_that_ends_the_server_twice(points, k, flags):
    """It is EIO, all others go on, and the server ends in order."""
    points.needs_faults()
    k.expect("answered EIO")
    make_map(k, "a", *HASH)
    k.sh("echo 5 > $M/maps/a/entries/1")
    fd = os.open(k.p("maps/a/entries/1"), os.O_RDWR)
    points.put("fault-again", str(WRITE))
    got = points.kill(k, "fault", WRITE, lambda: os.write(fd, b"6\n"))
    assert got.errno == errno.EIO
    assert k.errors().count("was ended by signal 11 after") == 2
    assert os.pread(fd, 100, 0) in (b"5\n", b"6\n")
    os.close(fd)
    detach(k.path, flags)
    assert not k.mounted()
    k.ended()


def test_a_server_that_cannot_go_on(points, k):
    """It is tried later each time, then the mount goes, and what is stored is there for the next start."""
    points.needs_faults()
    k.expect("exit")
    os.mkdir(k.p("mine"))
    fd = os.open(k.p("version"), os.O_RDONLY)
    points.put("fault-at-start", "")
    begun = time.monotonic()
    kill(k)
    assert k.proc.wait(WAIT) == 1
    assert time.monotonic() - begun > 1  # 40 + 80 + ... + 1280 ms
    assert k.errors().count("was ended by signal 11 after") == 8
    assert "8 servers ended soon after they began: the mount is taken away" in k.errors()
    assert not k.mounted()
    with pytest.raises(OSError) as e:
        os.pread(fd, 100, 0)
    assert e.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    with contextlib.suppress(OSError):
        os.close(fd)
    os.unlink(os.path.join(points.dir, "fault-at-start"))
    k.start()
    assert os.path.isdir(k.p("mine"))


def test_a_mount_of_dead_ones_is_taken_away(k):
    k.expect(r"taking away the mount")
    k.sh("mkdir $M/mine")
    os.kill(k.proc.pid, signal.SIGSTOP)  # so that it starts nobody
    pid = server(k)
    os.kill(pid, signal.SIGKILL)
    k.proc.kill()
    k.proc.wait(WAIT)
    wait_for(lambda: k.mounted() and not os.path.exists(k.p("version")), "the mount to be dead")
    k.start()
    assert "taking away the mount of a server that is gone" in k.errors()
    assert os.path.isdir(k.p("mine"))


def test_pollers_wait_on(k):
    make_map(k, "q", "type queue", "value_size 8", "max_entries 5")
    fd = os.open(k.p("maps/q/.pop"), os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(0) == []
    waiter = subprocess.Popen([sys.executable, "-c", "import os, select, sys\np = select.poll()\n"
                               "p.register(os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK), select.POLLIN)\n"
                               "sys.exit(not p.poll(%d))" % (WAIT * 1000), k.p("maps/q/.pop")], preexec_fn=die_with_us)
    wait_for(lambda: k.metrics()["open_files"] >= 3, "the one that polls")
    for _ in range(3):
        kill_and_wait(k)
        assert waiter.poll() is None and poll.poll(0) == []
    k.sh("echo 7 > $M/maps/q/push")
    assert waiter.wait(WAIT) == 0
    assert poll.poll(WAIT * 1000) == [(fd, select.POLLIN)]
    assert os.read(fd, 100) == b"7\n"
    os.close(fd)


def test_what_a_descriptor_made_and_nobody_has_opened(k):
    """By ctl and by an attach file; it goes with them."""
    k.load("cgroup_filter")
    os.mkdir(k.p("cgroup/a"))
    ctl, attach = os.open(k.p("ctl"), os.O_RDWR), os.open(k.p("cgroup/a/egress.attach"), os.O_RDWR)
    number = commands.map_create(ctl, commands.HASH, 4, 8, 10)
    prog = int(k.info("progs/filter_out/info")["id"])
    link = int.from_bytes(commands.call(attach, LINK_CREATE, struct.pack("=II", prog, 0), 4), "little")
    for _ in range(2):
        kill_and_wait(k)
        assert os.listdir(k.p("ids/link")) == [str(link)]
        os.close(commands.open_id(k, "map", number))
    assert k.read("cgroup/a/egress.effective").startswith("filter_out")
    os.close(ctl)
    os.close(attach)
    wait_for(lambda: not os.listdir(k.p("ids/link")) and str(number) not in os.listdir(k.p("ids/map")), "their end")


def test_a_link_lives_in_its_descriptor(k):
    can_run(k)
    os.mkdir(k.p("cgroup/a"))
    assert script(k, LINK % (k.p("cgroup/a"), k.p("pin").encode())) == [True, "ok"]
    (name,) = os.listdir(k.p("ids/link"))
    fd = os.open(k.p("ids/link", name), os.O_RDWR)
    os.unlink(k.p("pin"))
    effective = k.read("cgroup", "a", "ingress.effective")
    for _ in range(2):
        kill_and_wait(k)
        assert os.listdir(k.p("ids/link")) == [name]
        assert k.read("cgroup", "a", "ingress.effective") == effective != ""
    os.close(fd)
    wait_for(lambda: not os.listdir(k.p("ids/link")), "the link to end")
    assert k.read("cgroup", "a", "ingress.effective") == ""


# ---- clients under kills

def client_ls(m, i):
    assert "dump" in os.listdir(m.p("maps/load"))


def client_stat(m, i):
    fds = client_stat.__dict__
    if "file" not in fds:
        fds["file"] = os.open(m.p("maps/load/map"), os.O_RDWR)
        fds["dir"] = os.open(m.p("maps/load"), os.O_RDONLY)
    os.fstat(fds["file"])
    os.stat("stats", dir_fd=fds["dir"])


def client_cat(m, i):
    subprocess.run(["cat", m.p("maps/load/stats"), m.p("maps/load/type")], check=True, stdout=subprocess.DEVNULL)


def client_echo(m, i):
    path = m.p("maps/load/entries/%d" % (i % 100))
    with open(path, "w") as f:
        f.write("%d\n" % i)
    with open(path) as f:
        assert f.read() == "%d\n" % i


def client_dump(m, i):
    with open(m.p("maps/load/dump")) as f:
        lines = f.read().splitlines()
    assert len({line.split()[0] for line in lines}) == len(lines)


def client_create(m, i):
    """Exclusive, and removed again: each exactly once."""
    path = m.p("maps/excl/entries/%d" % (i % 500))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, b"%d\n" % i)
    os.close(fd)
    with pytest.raises(FileExistsError):
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.unlink(path)
    assert not os.path.exists(path)


def client_names(m, i):
    d = m.p("names")
    os.mkdir(d)
    os.symlink("x", d + "/s")
    os.link(m.p("maps/load/map"), d + "/pin")
    os.rename(d + "/pin", d + "/pin2")
    os.unlink(d + "/pin2")
    os.unlink(d + "/s")
    os.rmdir(d)


def client_define(m, i):
    make_map(m, "defined", *HASH)
    shutil.rmtree(m.p("maps/defined"))


def client_load(m, i):
    with open(m.p("progs/new"), "wb", buffering=0) as f:
        f.write(obj("count_ports"))
    names = set(os.listdir(m.p("progs"))) - {"new", "log", "filter_in", "filter_out"}
    assert names == {"count_ports"}, names
    subprocess.run(["rm", "-r", m.p("progs/count_ports")], check=True)


def client_ioctl(m, i):
    """An entry that comes and goes, each once."""
    fds = client_ioctl.__dict__
    if "map" not in fds:
        fds["map"] = ubpffs.Map(os.open(m.p("maps/ioctl/map"), os.O_RDWR))
    key = i % 50
    fds["map"].update(key, i, 1)  # BPF_NOEXIST
    assert fds["map"][key] == i
    del fds["map"][key]
    assert key not in fds["map"]


def client_mmap(m, i):
    """What is written to the memory is what the file shows, and the other way."""
    fds = client_mmap.__dict__
    if "memory" not in fds:
        fd = os.open(m.p("maps/array/map"), os.O_RDWR)
        libc.mmap.restype = ctypes.c_void_p  # Python's own believes the size that stat gives
        at = libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd,
                       ctypes.c_long(0))
        assert at != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
        fds["memory"] = (ctypes.c_uint64 * 512).from_address(at)
        os.close(fd)
    fds["memory"][1] = i
    with open(m.p("maps/array/entries/1")) as f:
        assert f.read() == "%d\n" % i
    with open(m.p("maps/array/entries/2"), "w") as f:
        f.write("%d\n" % i)
    assert fds["memory"][2] == i


def client_attach(m, i):
    with open(m.p("cgroup/c/ingress.attach"), "w") as f:
        f.write("filter_in\n")
    with open(m.p("cgroup/c/ingress.effective")) as f:
        assert f.read().startswith("filter_in")
    with open(m.p("cgroup/c/ingress.attach"), "w") as f:
        f.write("\n")
    with open(m.p("cgroup/c/ingress.effective")) as f:
        assert f.read() == ""


def client_queue(m, i):
    """This client alone uses the queue: each value comes out once, in order."""
    values = ["%d\n" % (3 * i + n) for n in range(3)]
    with open(m.p("maps/queue/push"), "w") as f:
        f.write("".join(values))
    for want in values:
        with open(m.p("maps/queue/.pop")) as f:
            got = f.read()
        assert got == want, (got, want)
    with open(m.p("maps/queue/stats")) as f:
        assert f.read().startswith("entries: 0\n")


def client_queue_ioctl(m, i):
    fds = client_queue_ioctl.__dict__
    if "map" not in fds:
        fds["map"] = ubpffs.Map(os.open(m.p("maps/stack/map"), os.O_RDWR))
    fds["map"].push(i)
    fds["map"].push(i + 1)
    assert [fds["map"].pop_value(), fds["map"].pop_value()] == [i + 1, i]


def client_run(m, i):
    """By the file, and by the ioctl."""
    fds = client_run.__dict__
    if "prog" not in fds:
        fds["prog"] = ubpffs.Program(os.open(m.p("progs/filter_in/prog"), os.O_RDWR))
    packet = bytes(14) + bytes([0x45, 0]) + bytes(40)
    assert fds["prog"].run(packet, room=256)[0] == 1
    fd = os.open(m.p("progs/filter_in/run"), os.O_RDWR)
    os.write(fd, packet)
    report = os.pread(fd, 4096, 0)
    assert report.startswith(b"retval: 1\n"), report
    os.close(fd)


def client_lru(m, i):
    path = m.p("maps/lru/entries/%d" % (i % 300))  # two of three were evicted
    with open(path, "w") as f:
        f.write("%d\n" % i)
    with open(path) as f:
        assert f.read() == "%d\n" % i


CLIENTS = {name[len("client_"):]: f for name, f in list(globals().items()) if name.startswith("client_")}


def run_client(m, f, end):
    calls = failures = 0
    longest = 0.0
    while not os.path.exists(end):
        calls += 1
        begun = time.monotonic()
        try:
            f(m, calls)
        except Exception as e:  # what failed is the test's result
            failures += 1
            if failures < 5:
                lines = [t.lineno for t in traceback.extract_tb(e.__traceback__)]
                print("%s, call %d: %s, lines %s" % (f.__name__, calls, e, lines), file=sys.stderr, flush=True)
        longest = max(longest, time.monotonic() - begun)
    print("%s: %d calls, the longest %d ms" % (f.__name__, calls, longest * 1000), file=sys.stderr, flush=True)
    os._exit(failures != 0)


def go_on_under(k, clients, act):
    """act(), while these go on; none of them may see more than a pause."""
    end = os.path.join(k.base, "end")
    pids = {}
    for name, f in clients.items():
        pid = os.fork()
        if not pid:
            die_with_us()
            run_client(k, f, end)
        pids[pid] = name
    try:
        act()
    finally:
        open(end, "w").close()
        failed = [name for pid, name in pids.items() if os.waitpid(pid, 0)[1]]
    assert not failed


def kill_under(k, clients):
    def kills():
        for _ in range(KILLS):
            time.sleep(random.uniform(0.01, 0.1))
            kill(k)

    go_on_under(k, clients, kills)


def resident(pid):
    """Of its own: memory of maps is everybody's."""
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


def used(k):
    """Descriptors and memory (KiB) of the keeper, and of a server that has just taken over."""
    kill_and_wait(k)
    pid = server(k)
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")
    return {who: (len(os.listdir("/proc/%d/fd" % p)), resident(p)) for who, p in (("keeper", k.proc.pid), ("server", pid))}


def make_load(k):
    """What the clients work on; who they are."""
    for name, *attrs in (("load", *HASH), ("excl", *HASH), ("ioctl", *HASH),
                         ("array", "type array", "key_size 4", "value_size 8", "map_flags 0x400", "max_entries 100"),
                         ("queue", "type queue", "value_size 8", "max_entries 5"),
                         ("stack", "type stack", "value_size 8", "max_entries 5"),
                         ("lru", "type lru_hash", "key_size 4", "value_size 8", "max_entries 100")):
        make_map(k, name, *attrs)
    k.load("cgroup_filter")
    os.mkdir(k.p("cgroup/c"))
    clients = dict(CLIENTS)
    if os.geteuid():  # without passthrough
        del clients["mmap"]
    return clients


def nothing_grew(before, after):
    print("descriptors and KiB: before %s, after %s" % (before, after), file=sys.stderr)
    for who in before:
        assert after[who][0] <= before[who][0] + 20, who  # files of nodes stay open for a while
        assert after[who][1] <= before[who][1] + 8192, who  # nodes that the kernel knows


def print_pauses(k, what, count):
    waits = sorted(int(line.split()[-2]) for line in k.errors().splitlines() if "clients waited" in line)
    assert len(waits) == count + 2  # those of used()
    print("pauses of %d %s, ms: median %d, 99th percentile %d, longest %d" %
          (count, what, waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1]), file=sys.stderr)


def test_clients_see_a_pause_and_nothing_else(k):
    clients = make_load(k)
    before = used(k)
    kill_under(k, clients)
    nothing_grew(before, used(k))
    print_pauses(k, "kills", KILLS)


def test_maps_are_made_and_removed_under_kills(k):
    """What is removed never looks like a map that is being made."""
    def client(name):
        def make_and_remove(m, i):
            make_map(m, name, *HASH)
            shutil.rmtree(m.p("maps", name))
        return make_and_remove

    kill_under(k, {name: client(name) for name in "abcde"})
