"""
A start reads back what is needed, when it is needed: programs are verified and maps are opened by whoever uses them
first, or in the background, and lists, names and limits are right before.
"""
import contextlib
import os
import signal
import subprocess

import pytest

from conftest import WAIT, obj, wait_for
from test_progs_run import PACKET, SOCKET_OUT, report

SLOW = "a", "b", "c"  # load directories with a program each that takes some tenths of a second to verify


def asleep(m):
    return int(m.metrics()["asleep"])


def all_awake(m):
    wait_for(lambda: asleep(m) == 0, "the background", 4 * WAIT)


def load_slow(m, dirs=SLOW):
    for name in dirs:
        os.mkdir(m.p("progs", name))
        with open(m.p("progs", name, "new"), "wb") as f:
            f.write(obj("slow_verify"))


def listed(m):
    return [sorted(os.listdir(m.p(*d))) for d in
            (("progs",), ("progs", "a"), ("maps",), ("ids", "prog"), ("ids", "map"))]


def charged(m):
    return [line for line in m.read("limits", "usage").splitlines() if line.split(":")[0] in ("objects", "bytes", "names")]


def run(m, name):
    fd = os.open(m.p("progs", name, "run"), os.O_RDWR)
    try:
        os.write(fd, PACKET)
        return report(os.read(fd, 4096).decode())
    finally:
        os.close(fd)


def test_nobody_waits_for_what_he_does_not_use(m):
    load_slow(m)  # lower ids: the background comes to them first
    m.load("count_ports")
    before = listed(m)
    usage = charged(m)
    m.expect("taking away")
    m.restart()
    assert listed(m) == before
    assert charged(m) == usage
    assert m.info("maps", "by_port", "info")["used_by"].startswith("count_ports(")
    assert run(m, "count_ports")[2] == SOCKET_OUT
    assert m.info("progs", "count_ports", "info")["name"] == "count_ports"
    assert asleep(m) > 0
    # Who needs the last one does not wait for those before.
    assert int(m.info("progs", "c", "slow_verify", "info")["verified_insns"]) > 90000
    all_awake(m)


def test_those_who_wait_leave_the_threads_to_others(m):
    load_slow(m)
    m.expect("taking away")
    m.restart()
    with contextlib.ExitStack() as stack:
        readers = [subprocess.Popen(["cat", m.p("progs", name, "slow_verify", "info")], stdout=subprocess.DEVNULL)
                   for name in SLOW * 4]
        for p in readers:
            stack.callback(p.wait)
        for _ in range(20):
            m.read("version")
            os.stat(m.p("progs", "a", "slow_verify"))
        assert any(p.poll() is None for p in readers)
    assert [p.returncode for p in readers] == [0] * len(readers)


def test_no_thread_blocks_its_own_faults(m):
    """Blocked, a refused system call would end the server instead of failing."""
    if os.environ.get("UBPFFS_SAN"):
        pytest.skip("a sanitizer's library has threads of its own")
    own = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS}
    load_slow(m)
    m.expect("taking away")
    m.restart()
    pid = m.metrics()["pid"]
    for task in os.listdir("/proc/%d/task" % pid):
        with contextlib.suppress(FileNotFoundError), open("/proc/%d/task/%s/status" % (pid, task)) as f:
            blocked = next(int(line.split()[1], 16) for line in f if line.startswith("SigBlk:"))
            assert not [s for s in own if blocked >> s - 1 & 1], task
    assert asleep(m) > 0


def test_killed_in_the_middle(m):
    load_slow(m, "a")
    m.load("count_ports")
    m.sh("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 4 > key_size; echo 8 > value_size; "
         "echo 100 > max_entries; echo 7 > entries/1")
    before = listed(m)
    m.expect("taking away")
    for i in range(6):
        m.restart(kill=i % 3 != 2)
        if i % 2:
            m.sh("cat $M/maps/h/entries/1; echo %d > $M/maps/h/entries/2" % i)
    assert listed(m) == before
    assert m.read("maps", "h", "entries", "2") == "5\n"
    assert run(m, "count_ports")[2] == SOCKET_OUT
    m.sh("rm -r $M/progs/a/slow_verify")  # asleep, or being read back
    all_awake(m)
    m.wait_live(1, len(os.listdir(m.p("maps"))))


def test_what_was_attached_runs_before_anybody_asks(m):
    load_slow(m, "a")
    m.load("cgroup_verdicts")
    m.load("tail_calls")
    m.sh("mkdir $M/cgroup/c; echo deny > $M/cgroup/c/egress.attach")
    jumps = run(m, "start")[0]
    m.expect("taking away")
    m.restart()
    assert m.read("cgroup", "c", "egress.attach").startswith("deny")
    assert m.read("cgroup", "c", "egress.effective").startswith("deny")
    assert run(m, "start")[0] == jumps


def test_more_maps_than_descriptors(m):
    argv = m.argv
    m.argv = lambda *options: ["prlimit", "--nofile=256:256"] + argv(*options)
    m.expect("taking away")
    m.restart()
    for i in range(300):
        os.mkdir(m.p("maps", "m%d" % i))
        for attr, value in ("type", "array"), ("key_size", "4"), ("value_size", "8"), ("max_entries", "1"):
            with open(m.p("maps", "m%d" % i, attr), "w") as f:
                f.write(value)
    m.restart(kill=False)
    for i in range(0, 300, 7):
        with open(m.p("maps", "m%d" % i, "entries", "0"), "w") as f:
            f.write("%d\n" % i)
    all_awake(m)
    m.wait_live(0, 300)
    assert m.read("maps", "m294", "entries", "0") == "294\n"


def test_a_takeover_before_all_is_there(cold):
    """Open files of what sleeps go on in the next server."""
    m = cold
    m.expect(r"ended by signal|clients waited|taking away")
    m.start()
    load_slow(m, "a")
    m.load("count_ports")
    m.umount()
    m.start("keeper=on")
    one = os.open(m.p("progs", "count_ports", "run"), os.O_RDWR)
    two = os.open(m.p("maps", "by_proto", "map"), os.O_RDONLY)
    three = os.open(m.p("progs", "a", "slow_verify", "prog"), os.O_RDONLY)
    for _ in range(2):
        pid = int(m.metrics()["pid"])
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: int(m.metrics()["pid"]) != pid, "the next server")
        os.write(one, PACKET)
        assert report(os.read(one, 4096).decode())[2] == SOCKET_OUT
        assert os.fstat(two).st_ino == os.stat(m.p("maps", "by_proto", "map")).st_ino
    os.link(m.p("progs", "a", "slow_verify", "prog"), m.p("pin"))
    for fd in one, two, three:
        os.close(fd)
    all_awake(m)
