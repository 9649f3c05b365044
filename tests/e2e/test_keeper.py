"""
A server that dies is followed by another (-o keeper=on): clients wait, and nothing else happens to them.

Clients are processes that do one thing over and over and say what went wrong. UBPFFS_KILLS says how often the server is
killed under them: 50 times, unless it is told otherwise.
"""
import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback

import pytest

from conftest import BUILD, WAIT, die_with_us, obj, wait_for

KILLS = int(os.environ.get("UBPFFS_KILLS", "50"))


@pytest.fixture
def k(cold):
    """A server with a keeper. `cold.proc` is the keeper."""
    cold.expect(r"ended by signal|clients waited|tried again")
    return cold.start("keeper=on")


def server(m):
    return int(m.info("metrics")["pid"])


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

MKDIR, READ, WRITE, RELEASE, IOCTL = 9, 15, 16, 18, 39  # FUSE's opcodes


class Points:
    """Where the server is killed, and which kernel it has (tests/preload/kill_at.c)."""

    def __init__(self, m):
        self.dir = os.path.join(m.base, "points")
        os.mkdir(self.dir)
        preload = [os.path.join(BUILD, "tests", "kill_at.so")]
        if os.environ.get("UBPFFS_SAN"):
            pytest.skip("a sanitizer comes before all other libraries")
        m.environment = {"UBPFFS_KILL_AT": self.dir, "LD_PRELOAD": " ".join(preload)}

    def no_resend(self):
        self.put("no-resend", "")

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
    k.start("keeper=on")
    assert os.path.isdir(k.p("mine"))


def test_unmounting_and_signals_end_both(k):
    kill_and_wait(k)
    k.umount()
    assert "Error" not in k.errors()
    k.start("keeper=on")
    kill_and_wait(k)
    k.proc.terminate()
    assert k.proc.wait(WAIT) == 0
    assert not k.mounted()


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


def test_a_release_that_is_sent_again_meets_no_other_file(points, k):
    for _ in range(20):
        points.kill(k, "answer", RELEASE, lambda: os.close(os.open(k.p("version"), os.O_RDONLY)))
        assert k.read("version")
    wait_for(lambda: k.metrics()["open_files"] == 1, "the files to be closed")


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
    names = set(os.listdir(m.p("progs"))) - {"new", "log"}
    assert names == {"count_ports"}, names
    subprocess.run(["rm", "-r", m.p("progs/count_ports")], check=True)


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


def kill_under(k, clients):
    """The server, KILLS times, while these go on; none of them may see more than a pause."""
    end = os.path.join(k.base, "end")
    pids = {}
    for name, f in clients.items():
        pid = os.fork()
        if not pid:
            die_with_us()
            run_client(k, f, end)
        pids[pid] = name
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.01, 0.1))
            kill(k)
    finally:
        open(end, "w").close()
        failed = [name for pid, name in pids.items() if os.waitpid(pid, 0)[1]]
    assert not failed


def test_clients_see_a_pause_and_nothing_else(k):
    make_map(k, "load", *HASH)
    make_map(k, "excl", *HASH)
    kill_under(k, CLIENTS)
    waits = sorted(int(line.split()[-2]) for line in k.errors().splitlines() if "clients waited" in line)
    assert len(waits) == KILLS
    print("pauses of %d kills, ms: median %d, 99th percentile %d, longest %d" %
          (KILLS, waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1]), file=sys.stderr)


def test_maps_are_made_and_removed_under_kills(k):
    """What is removed never looks like a map that is being made."""
    def client(name):
        def make_and_remove(m, i):
            make_map(m, name, *HASH)
            shutil.rmtree(m.p("maps", name))
        return make_and_remove

    kill_under(k, {name: client(name) for name in "abcde"})
