"""Runs and loads that take long: they end when nobody wants them any more, and keep nobody else waiting."""
import os
import signal
import subprocess
import time

import pytest

from conftest import MODULES, PROGS, USERS, WAIT, detach, needs_root, wait_for

A, B = USERS

# How a client begins a run that ends in years, on programs of tests/progs/endless.bpf.c.
CLIENT = """
import os, signal, struct, sys
sys.path.insert(0, %r)
from commands import PROG_TEST_RUN, call
signal.signal(signal.SIGINT, signal.SIG_DFL)
how, prog = sys.argv[1:]
if how == "ioctl":
    call(os.open(prog + "/prog", os.O_RDWR), PROG_TEST_RUN, struct.pack("=8I", 64, 0, 64, 0, 1, 0, 0, 0) + bytes(64), 200)
fd = os.open(prog + "/run", os.O_RDWR)
os.write(fd, bytes(64))
if how == "read":
    os.read(fd, 4096)
os.close(fd)
""" % MODULES


def begin(m, how, prog="endless_loop", user=None):
    kwargs = {} if user is None else dict(user=user, group=user, extra_groups=[])
    return subprocess.Popen(["/usr/bin/python3", "-c", CLIENT, how, m.p("progs", prog)], stderr=subprocess.DEVNULL,
                            **kwargs)


def wait_quiet(m):
    def quiet():
        start = m.ticks()
        time.sleep(0.2)
        return m.ticks() <= start + 1
    wait_for(quiet, "the server to be quiet")


@pytest.fixture
def endless(m):
    m.load("endless")
    m.sh("echo 1 > $M/maps/go/entries/0")
    return m


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("how", ["read", "ioctl"])
def test_a_run_ends_with_its_caller(endless, how, sig):
    p = begin(endless, how)
    endless.wait_busy()
    p.send_signal(sig)
    p.wait(WAIT)
    wait_quiet(endless)


@pytest.mark.parametrize("prog", ["endless_calls", "endless_elems", "endless_record"])
def test_every_kind_of_loop_ends(endless, prog):
    p = begin(endless, "read", prog)
    endless.wait_busy()
    p.kill()
    p.wait(WAIT)
    wait_quiet(endless)
    if prog == "endless_record":  # what it had reserved is there
        assert endless.out("timeout %d head -n 1 $M/maps/ring/records" % WAIT)


def test_nobody_waits_in_a_close(endless):
    """The run that it begins is a short one, or is made so."""
    m = endless
    begin(m, "close").wait(WAIT)
    wait_for(lambda: "error: " in m.read("progs", "endless_loop", "run"), "the report")
    wait_quiet(m)
    assert "a run that close begins" in m.log()


def test_callers_in_a_queue_can_be_killed(endless):
    """More than run at once: nobody ignores SIGKILL because of the others."""
    clients = [begin(endless, "read" if i % 2 else "ioctl") for i in range(10)]
    endless.wait_busy()
    for p in reversed(clients):  # those that wait first
        p.kill()
        p.wait(WAIT)
    wait_quiet(endless)


READER = "import os; os.pread(0, 4096, 0)"  # read(2) would wait for the position, in the kernel


def test_readers_of_one_open_can_be_killed(endless):
    """They wait for the first one's run, on the same description, and nobody else does."""
    with open(endless.p("progs", "endless_loop", "run"), "r+b", buffering=0) as f:
        f.write(bytes(64))
        first = subprocess.Popen(["/usr/bin/python3", "-c", READER], stdin=f, stderr=subprocess.DEVNULL)
        endless.wait_busy()
        rest = [subprocess.Popen(["/usr/bin/python3", "-c", READER], stdin=f, stderr=subprocess.DEVNULL)
                for _ in range(12)]  # more than the server has threads for requests
        endless.sh("ls $M $M/progs && cat $M/maps/go/dump")
        for p in rest:
            p.kill()
        for p in rest:
            p.wait(WAIT)
        first.kill()
        first.wait(WAIT)
    wait_quiet(endless)


@pytest.mark.parametrize("how", ["umount", "signal"])
def test_the_server_ends_while_a_run_goes_on(endless, how):
    m = endless
    p = begin(m, "read")
    m.wait_busy()
    if how == "signal":
        m.proc.terminate()
    else:
        detach(m.path)
        p.kill()
    assert m.proc.wait(WAIT) == 0
    m.proc = None
    p.wait(WAIT)


def load_and_unload(m):
    loop = "while :; do cat $P/slow_verify.bpf.o > $M/progs/new && rm -r $M/progs/slow_verify; done"
    return subprocess.Popen(["sh", "-c", loop], env=dict(os.environ, M=m.path, P=PROGS), stderr=subprocess.DEVNULL,
                            start_new_session=True, user=A, group=A, extra_groups=[])


def test_others_go_on(m):
    """
    While eight runs and eight loads of one user go on, which would take much longer, another one's requests come back.
    """
    needs_root("is two users")
    m.load("endless", user=A)
    m.sh("echo 1 > $M/maps/go/entries/0", user=A)
    m.load("count_ports", user=B)
    hogs = [begin(m, "read", user=A) for _ in range(8)]
    loads = [load_and_unload(m) for _ in range(8)]
    try:
        m.wait_busy()
        for name in ("global_data", "subprograms", "bounded_loops"):
            m.sh("cat $P/" + name + ".bpf.o > $M/progs/new; ls $M/progs > /dev/null; cat $M/maps/by_port/dump;"
                 "exec 3<>$M/progs/count_ports/run; head -c 64 /dev/zero >&3; grep -q retval <&3;"
                 "echo 4 > $M/maps/by_proto/entries/3", user=B)
        assert [p.poll() for p in hogs] == [None] * 8  # they have gone on all the while
    finally:
        for p in loads:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait(WAIT)
        for p in hogs:
            p.kill()
        for p in hogs:
            p.wait(WAIT)
    wait_quiet(m)


ASKS = """
import os, sys
m, i = sys.argv[1:]
own = m + "/own" + i
os.mkdir(own)
n = 0
while True:
    n += 1
    with open(m + "/maps/counts/entries/" + i, "r+") as f:
        f.write(str(n))
    with open(m + "/maps/counts/entries/" + i) as f:
        assert f.read() == "%d\\n" % n
    os.mkdir(own + "/x")
    os.symlink("y", own + "/x/l")
    assert os.listdir(own) == ["x"] and os.readlink(own + "/x/l") == "y"
    os.unlink(own + "/x/l")
    os.rmdir(own + "/x")
    if n == 100:
        os.chmod(own, 0o700)  # seen by the test
"""


def test_who_asks_for_much_takes_turns(m):
    """His requests go through the workers: they are answered right, in order, and end with their callers."""
    needs_root("is two users")
    m.sh("mkdir $M/maps/counts; cd $M/maps/counts; echo array > type; echo 4 > key_size; echo 8 > value_size;"
         "echo 100 > max_entries", user=A)
    m.load("count_ports", user=B)
    before = m.metrics()["handed_on_requests"]
    hogs = [subprocess.Popen(["/usr/bin/python3", "-c", ASKS, m.path, str(i)], user=A, group=A, extra_groups=[])
            for i in range(12)]
    load = load_and_unload(m)  # one request with much processor time: he has it also on a machine that gives him little
    try:
        wait_for(lambda: m.metrics()["handed_on_requests"] > before + 100, "him to take turns")
        m.sh("cat $M/maps/by_port/dump; echo 4 > $M/maps/by_proto/entries/3; mkdir $M/b; rmdir $M/b; rm -r $M/progs/count_ports", user=B)
        wait_for(lambda: all(os.path.isdir(m.p("own%d" % i)) and os.stat(m.p("own%d" % i)).st_mode & 0o777 == 0o700
                             for i in range(12)), "each of them to get on")
        assert [p.poll() for p in hogs] == [None] * 12
    finally:
        os.killpg(load.pid, signal.SIGKILL)
        load.wait(WAIT)
        for p in hogs:
            p.kill()
        for p in hogs:
            p.wait(WAIT)
    wait_quiet(m)
    m.sh("echo 5 > $M/maps/counts/entries/1; rm -r $M/own*", user=A)
    wait_for(lambda: "memory: 0/" in m.out("cat $M/limits/usage", user=A), "the memory of his requests to be given back")


@pytest.mark.parametrize("how", ["limit", "rmdir"])
def test_an_event_that_never_ends(endless, how):
    m = endless
    m.sh("mkdir $M/events/t; cd $M/events/t; echo timer > type; echo 5 > interval_ms; echo endless_sample > attach")
    m.wait_busy()
    if how == "limit":
        wait_for(lambda: "failed" in m.read("events", "t", "stats"), "the source to give up")
    else:
        m.sh("rmdir $M/events/t")
    wait_quiet(m)
