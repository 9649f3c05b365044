"""Event sources: real perf samples, real captures, ticks; what may be named and by whom; kill -9 and back."""
import contextlib
import errno
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from conftest import BUILD, USERS, WAIT, as_user, needs_root, wait_for

BURN = os.path.join(BUILD, "examples", "burn")
CTL = os.path.join(BUILD, "ubpfctl")


def paranoid():
    with open("/proc/sys/kernel/perf_event_paranoid") as f:
        return int(f.read())


@pytest.fixture
def burn(m):
    """A process that computes; it ends with the test."""
    started = []

    def start(seconds=60, user=None):
        path = os.path.join(m.base, "burn")  # where every user may run it
        if not os.path.exists(path):
            shutil.copy(BURN, path)
        p = subprocess.Popen([path, str(seconds)], stdout=subprocess.DEVNULL, **as_user(user))
        started.append(p)
        return p
    yield start
    for p in started:
        p.kill()
        p.wait(WAIT)


def stats(m, name):
    return m.info("events", name, "stats")


def count(m, name, field):
    return int(stats(m, name)[field])


def wait_count(m, name, field, n):
    wait_for(lambda: count(m, name, field) >= n, "%s of %s" % (field, name))


def wait_state(m, name, state):
    wait_for(lambda: stats(m, name)["state"] == state, "%s to be %s" % (name, state))


def make(m, name, *attrs, **kwargs):
    lines = ["mkdir $M/events/%s && cd $M/events/%s" % (name, name)]
    lines += ["echo '%s' > %s" % (value, attr) for attr, value in attrs]
    return m.sh(" && ".join(lines), **kwargs)


def perf(m, name, pid, prog="sample", event="cpu-clock", freq=499, extra=(), **kwargs):
    return make(m, name, ("type", "perf"), ("event", event), *extra, ("pid", pid), ("freq", freq), ("attach", prog),
                **kwargs)


def folded(m, stacks="user_stacks", counts="user_counts"):
    out = subprocess.run([CTL, "-m", m.path, "flame", "--folded", stacks, counts], capture_output=True, text=True,
                         timeout=WAIT)
    assert out.returncode == 0, out.stderr
    return [(line.rsplit(" ", 1)[0].split(";"), int(line.rsplit(" ", 1)[1])) for line in out.stdout.splitlines()]


def share(stacks, *names):
    """How much of all samples is in stacks that hold these functions in this order, next to each other."""
    def holds(stack):
        return any(tuple(stack[i:i + len(names)]) == names for i in range(len(stack)))
    return sum(n for s, n in stacks if holds(s)) / max(1, sum(n for _, n in stacks))


# ---- the directory

def test_attributes(m):
    m.load("event_packets")
    make(m, "s")
    assert sorted(os.listdir(m.p("events", "s"))) == ["attach", "stats", "type"]
    assert stats(m, "s")["state"] == "stopped" and stats(m, "s")["missing"].startswith("type")
    m.fails("echo tick > $M/events/s/attach", "Invalid argument")
    m.fails("echo nothing > $M/events/s/type", "Invalid argument")
    with pytest.raises(OSError) as e:
        with open(m.p("events/s/type"), "wb", 0) as f:
            f.write(b"per")  # the beginning of a value: the close says that it was no more
    assert e.value.errno == errno.EINVAL
    m.fails("echo per > $M/events/s/type", "Invalid argument")
    m.sh("exec 3>$M/events/s/type; printf pe >&3; printf rf >&3")
    assert m.read("events", "s", "type") == "perf\n"
    assert sorted(os.listdir(m.p("events", "s"))) == sorted(
        ["attach", "type", "event", "pid", "freq", "period", "unwind", "stats"])
    m.fails("echo pcap > $M/events/s/type", "Device or resource busy")
    for attr, bad in (("event", "cpu"), ("event", "no-such"), ("pid", "-1"), ("pid", "0"), ("pid", "some"),
                      ("freq", "0"), ("freq", "x"), ("freq", "1000000"), ("period", "-1"), ("unwind", "guess")):
        m.fails("echo %s > $M/events/s/%s" % (bad, attr), "Invalid argument")
        assert m.read("events", "s", attr) == ""
    assert "takes a number from 1 to 100000" in m.log() and "cpu-clock task-clock" in m.log()
    m.sh("cd $M/events/s; echo 0x63 > freq; echo cpu-clock > event")
    assert m.read("events", "s", "freq") == "0x63\n"
    m.fails("echo 5 > $M/events/s/period", "Invalid argument")  # one of the two
    m.sh("cd $M/events/s; echo > freq; echo 5 > period; cat period")
    m.fails("printf 'a\\nb\\n' > $M/events/s/event", "Invalid argument")
    m.fails("rm $M/events/s/pid", "Operation not permitted")
    m.sh("cd $M/events; mv s t; cat t/event; rm -r t")
    assert os.listdir(m.p("events")) == []
    m.fails("mkdir $M/events/.x", "Invalid argument")
    m.sh("mkdir $M/events/a; rmdir $M/events/a")


def test_wrong_program(m, burn):
    m.load("event_packets")
    m.load("event_samples")
    make(m, "s", ("type", "perf"))
    m.fails("echo drop_udp > $M/events/s/attach", "Invalid argument")
    assert "a perf source runs perf_event" in m.log()
    m.fails("echo nobody > $M/events/s/attach", "No such file")
    make(m, "p", ("type", "pcap"))
    m.fails("echo tick > $M/events/p/attach", "Invalid argument")


def test_program_is_held(m):
    """An attachment keeps the program, as a pin does; rmdir lets it go."""
    m.load("event_packets")
    make(m, "t", ("type", "timer"), ("attach", "tick"), ("interval_ms", "5"))
    assert m.read("events", "t", "attach") == "tick\n"
    m.sh("rm -r $M/progs/* 2>/dev/null; rm -r $M/progs/[a-z]*_* $M/progs/tick $M/progs/grow 2>/dev/null; true")
    m.wait_live(1, 1)
    assert m.read("events", "t", "attach").strip().isdigit()
    before = count(m, "t", "run")
    wait_count(m, "t", "run", before + 5)
    m.restart()
    wait_count(m, "t", "run", 5)
    m.sh("rm -r $M/events/t")
    m.wait_live(0, 0)
    assert m.objects() == []


# ---- perf

def test_samples(m, burn):
    m.load("event_samples")
    pid = burn().pid
    perf(m, "cpu", pid)
    assert m.read("events", "cpu", "attach") == "sample\n"
    wait_count(m, "cpu", "run", 200)
    s = stats(m, "cpu")
    assert s["state"] == "running" and s["errors"] == "0" and s["dropped"] == "0"
    raw = bytes.fromhex(m.read("maps", "by_pid", "entries", str(pid)).replace(" ", ""))
    samples, period, counter, enabled, ip, sp, got_pid, uid = struct.unpack_from("<6Q2I", raw)
    comm = raw[56:72].rstrip(b"\0").decode()
    user_bytes, kernel_bytes = struct.unpack_from("<2i", raw, 72)
    assert samples >= 200 and got_pid == pid and uid == os.geteuid() and comm in ("burn", "primes")
    assert counter > 0 and enabled > 0 and period > 0 and sp and ip
    assert user_bytes >= 8 and kernel_bytes >= -14
    m.fails("echo 5 > $M/events/cpu/freq", "Device or resource busy")
    # names, by the process's own symbols
    assert m.read("maps", "user_stacks", "symbols") == "off\n"
    some = os.listdir(m.p("maps", "user_stacks", "entries"))[0]
    assert all(line.startswith("0x") and len(line.split()) == 1
               for line in m.read("maps", "user_stacks", "entries", some).splitlines())
    m.sh("echo %d > $M/maps/user_stacks/symbols" % pid)
    assert m.read("maps", "user_stacks", "symbols") == "%d\n" % pid
    wait_for(lambda: "primes_main+0x" in m.read("maps", "user_stacks", "dump"), "the thread's stacks")
    assert "/burn)" in m.read("maps", "user_stacks", "dump")
    found = folded(m)
    assert share(found, "primes_main", "count_primes", "is_prime") > 0.05
    assert share(found, "main", "work", "sum_numbers") > 0
    assert share(found, "work", "sort_numbers", "sort") > 0.05
    # symbols outlive the process
    m.sh("echo off > $M/maps/user_stacks/symbols")
    assert "primes" not in m.read("maps", "user_stacks", "dump")
    # stopping, and going on
    m.sh("echo > $M/events/cpu/attach")
    assert m.read("events", "cpu", "attach") == "" and stats(m, "cpu")["state"] == "stopped"
    ran = count(m, "cpu", "run")
    time.sleep(0.2)
    assert count(m, "cpu", "run") == ran
    m.sh("echo > $M/events/cpu/freq; echo 1000000 > $M/events/cpu/period; echo sample > $M/events/cpu/attach")
    wait_count(m, "cpu", "run", 50)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="jit_burn makes code of x86-64")
def test_names_of_code_without_a_file(m):
    """What /tmp/perf-PID.map says, names with blanks, and C++ as it was written; not what another user says."""
    m.load("event_samples")
    p = subprocess.Popen([os.path.join(BUILD, "tests", "e2e", "jit_burn"), "/tmp"], stdout=subprocess.PIPE)
    path = "/tmp/perf-%d.map" % p.pid
    try:
        assert p.stdout.readline() == b"ready\n"
        perf(m, "cpu", p.pid)
        m.sh("echo %d > $M/maps/user_stacks/symbols" % p.pid)
        name = "Lazy:~handle it /srv/app.js:12"
        wait_for(lambda: share(folded(m), "app::handle(void*)", name) > 0.5, "samples of the code")
        assert name + "+0x" in m.read("maps", "user_stacks", "dump")
        if os.geteuid() == 0:
            os.chown(path, 12345, 0)
            m.sh("echo %d > $M/maps/user_stacks/symbols" % p.pid)
            assert "Lazy" not in m.read("maps", "user_stacks", "dump")
    finally:
        p.kill()
        p.wait(WAIT)
        p.stdout.close()
        os.unlink(path)


def test_names_are_of_the_program_that_ran(m, burn):
    """A child that executes another program has its own names, also when both have ended."""
    m.load("event_samples")
    program = shutil.copy(BURN, os.path.join(m.base, "other"))
    p = subprocess.Popen([os.path.join(BUILD, "tests", "e2e", "exec_other"), program, "60"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    child = None
    symbols = "$M/maps/user_stacks/symbols"

    def stacks():
        found = {}
        for line in m.read("maps", "user_stacks", "dump").splitlines():
            found.setdefault(line.split()[0], []).append(line)
        return ["\n".join(lines) for lines in found.values()]

    def names():
        of_child = [s for s in stacks() if "/other)" in s]
        of_parent = [s for s in stacks() if "/exec_other)" in s]
        assert not set(of_child) & set(of_parent)
        assert not any("parent_loop" in s for s in of_child) and not any("sum_numbers" in s for s in of_parent)
        return any("sum_numbers+0x" in s for s in of_child) and any("parent_loop+0x" in s for s in of_parent)
    try:
        perf(m, "cpu", p.pid)
        p.stdin.write(b"\n")
        p.stdin.flush()
        child = int(p.stdout.readline())
        wait_for(lambda: str(child) in os.listdir(m.p("maps", "by_pid", "entries")), "samples of the child")

        def named():
            m.sh("echo %d > %s" % (p.pid, symbols))
            return names()
        wait_for(named, "names of both")
        os.rename(program, program + ".was")  # what runs has another file now, and its names are not told
        shutil.copy(os.path.join(BUILD, "tests", "e2e", "exec_other"), program)
        m.sh("echo all > " + symbols)
        assert not any("+0x" in line and "/other)" in line for s in stacks() for line in s.splitlines())
        os.rename(program + ".was", program)
        m.sh("echo all > " + symbols)
        assert names()
    finally:
        if child:
            os.kill(child, 9)
        p.kill()
        p.wait(WAIT)
        p.stdin.close()
        p.stdout.close()
    wait_state(m, "cpu", "ended")
    m.sh("echo off > " + symbols)
    assert "sum_numbers" not in m.read("maps", "user_stacks", "dump")
    m.sh("echo %d > %s" % (p.pid, symbols))
    assert names()
    m.sh("echo off > %s; echo all > %s" % (symbols, symbols))
    assert names() and m.read("maps", "user_stacks", "symbols") == "all\n"
    # not what another file of that name says
    time.sleep(1.1)
    os.unlink(program)
    shutil.copy(os.path.join(BUILD, "tests", "e2e", "exec_other"), program)
    m.sh("echo all > " + symbols)
    assert "(%s)" % program in m.read("maps", "user_stacks", "dump")
    assert not any("+0x" in line and "/other)" in line for s in stacks() for line in s.splitlines())


def test_process_ends(m, burn):
    m.load("event_samples")
    p = burn()
    perf(m, "cpu", p.pid)
    wait_count(m, "cpu", "run", 10)
    p.kill()
    p.wait()
    wait_state(m, "cpu", "ended")
    m.restart()
    assert stats(m, "cpu")["state"] == "ended"  # not some other process of that number
    m.fails("echo sample > $M/events/cpu/attach", "No such process")
    assert "there is no process" in m.log()


def test_threads_and_children(m):
    """Threads and children that begin later are sampled, too."""
    m.load("event_samples")
    code = """
import os, sys, threading, time
sys.stdin.readline()
def spin():
    end = time.time() + %d
    while time.time() < end: pass
threading.Thread(target=spin, daemon=True).start()
pid = os.fork()
if not pid: spin(); os._exit(0)
print(pid, flush=True)
sys.stdin.readline()
os.kill(pid, 9)
os._exit(0)
""" % (3 * WAIT)
    p = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        perf(m, "cpu", p.pid)
        p.stdin.write("go\n")
        p.stdin.flush()
        child = p.stdout.readline().strip()
        wait_for(lambda: child in os.listdir(m.p("maps", "by_pid", "entries")), "samples of the child")
        wait_for(lambda: str(p.pid) in os.listdir(m.p("maps", "by_pid", "entries")), "samples of the thread")
    finally:
        p.stdin.write("end\n")
        p.stdin.close()
        p.wait(WAIT)


def test_threads_while_it_starts(m):
    """A thread that is made while the events are opened has one, too. Here each makes the next one and ends, so that
    with one that is missed all that follow are."""
    m.load("event_samples")
    code = """
import threading, time
def link():
    end = time.monotonic() + .003
    while time.monotonic() < end: pass
    threading.Thread(target=link, daemon=True).start()
link()
time.sleep(100)
"""
    p = subprocess.Popen([sys.executable, "-c", code])
    try:
        make(m, "cpu", ("type", "perf"), ("event", "cpu-clock"), ("pid", p.pid), ("freq", "997"))
        for _ in range(25):
            m.sh("echo sample > $M/events/cpu/attach")
            wait_count(m, "cpu", "run", 5)
            m.sh("echo > $M/events/cpu/attach")
    finally:
        p.kill()
        p.wait(WAIT)


def test_page_faults_and_all(m):
    needs_root("samples all processes")
    m.load("event_samples")
    make(m, "faults", ("type", "perf"), ("event", "page-faults"), ("pid", "all"), ("period", "1"),
         ("attach", "sample"))
    p = subprocess.Popen([sys.executable, "-c", "b = bytearray(64 << 20); import time; time.sleep(0.2)"])
    p.wait(WAIT)
    wait_for(lambda: str(p.pid) in os.listdir(m.p("maps", "by_pid", "entries")), "its page faults")
    raw = bytes.fromhex(m.read("maps", "by_pid", "entries", str(p.pid)).replace(" ", ""))
    assert struct.unpack_from("<Q", raw)[0] > 100


def test_missing_hardware_says_so(m, burn):
    m.load("event_samples")
    r = perf(m, "hw", burn().pid, event="cpu-cycles", check=False)
    if r.returncode == 0:
        wait_count(m, "hw", "run", 10)
        return
    assert "No such file" in r.stderr
    assert "this machine has no cpu-cycles counter" in m.log()
    assert m.read("events", "hw", "attach") == ""  # as before
    m.sh("echo cpu-clock > $M/events/hw/event; echo sample > $M/events/hw/attach")
    wait_count(m, "hw", "run", 10)


def test_dwarf(m, burn):
    """Without frame pointers: by the tables of the process's own files, down to its start."""
    if os.uname().machine != "x86_64":
        pytest.skip("unwinding by dwarf is for x86-64")
    m.load("event_samples")
    pid = burn().pid
    perf(m, "cpu", pid, extra=(("unwind", "dwarf"),))
    wait_count(m, "cpu", "run", 200)
    assert count(m, "cpu", "errors") == 0
    m.sh("echo %d > $M/maps/user_stacks/symbols" % pid)
    found = folded(m)
    assert share(found, "_start") > 0.1  # frame pointers end at libc
    assert share(found, "main", "work", "sum_numbers") > 0


def build_id(path):
    out = subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout
    return out.split("Build ID: ")[1].split()[0]


@pytest.mark.parametrize("unwind", ["fp", "dwarf"])
def test_build_ids(m, burn, unwind):
    """Of every sample, also the first: a process of the owner reads the files, and not the program as it runs."""
    if unwind == "dwarf" and os.uname().machine != "x86_64":
        pytest.skip("unwinding by dwarf is for x86-64")
    m.load("event_build_ids")
    pid = burn().pid
    perf(m, "memory", pid, prog="stack_to_memory", extra=(("unwind", unwind),))
    perf(m, "map", pid, prog="stack_to_map", extra=(("unwind", unwind),))
    wait_count(m, "memory", "run", 100)
    wait_count(m, "map", "run", 100)
    assert count(m, "memory", "errors") == 0 and count(m, "map", "errors") == 0
    m.sh("echo > $M/events/memory/attach")
    empty, valid, address, none = (int(m.read("maps", "statuses", "entries", str(i))) for i in range(4))
    assert valid >= 95 * (valid + empty + address + none) // 100  # the vdso has none
    assert build_id(BURN) + "+0x" in m.read("maps", "id_stacks", "dump")


def test_lost(m, burn):
    """More than can be done is lost, and counted; the source goes all the same."""
    m.load("event_samples")
    perf(m, "cpu", burn().pid, freq=100000, extra=(("unwind", "dwarf" if os.uname().machine == "x86_64" else ""),))
    wait_count(m, "cpu", "run", 20)
    wait_count(m, "cpu", "lost", 1)
    assert stats(m, "cpu")["state"] == "running"
    m.sh("rmdir $M/events/cpu")
    assert os.listdir(m.p("events")) == []


def test_nobodys_deputy(m, burn):
    """A pid is the client's own to name: the kernel is asked as that client."""
    m.load("event_samples")
    m.sh("chmod 666 $M/progs/sample/prog $M/maps/user_stacks/map; chmod 755 $M/progs/sample $M/maps/user_stacks")
    me, other = USERS
    mine, roots = burn(user=me), burn()
    r = perf(m, "a", roots.pid, user=me, check=False)
    assert r.returncode and "Permission denied" in r.stderr
    assert "does not let uid %d sample process" % me in m.sh("cat $M/log", user=me).stdout
    assert stats(m, "a")["run"] == "0"
    r = perf(m, "b", "all", user=me, check=False)
    if paranoid() > 0:
        assert r.returncode and "Permission denied" in r.stderr
    if paranoid() > 2:
        pytest.skip("perf_event_paranoid is %d: ordinary users sample nothing" % paranoid())
    # his own, which root's server samples for him
    m.sh("cd $M/events/a && echo %d > pid && echo sample > attach" % mine.pid, user=me)
    wait_count(m, "a", "run", 20)
    assert set(os.listdir(m.p("maps", "by_pid", "entries"))) == {str(mine.pid)}
    # nobody else may use his source, whatever its bits say; root may, with his rights
    m.sh("chmod 777 $M/events/a", user=me)
    m.fails("echo > $M/events/a/attach", "Operation not permitted", user=other)
    m.fails("echo %d > $M/events/a/pid" % roots.pid, "Operation not permitted", user=other)
    m.sh("echo > $M/events/a/attach; echo %d > $M/events/a/pid" % roots.pid)
    m.fails("echo sample > $M/events/a/attach", "Permission denied")
    # symbols: the same, also when the process that refuses has ended before all was sent to it
    for _ in range(20):
        m.fails("echo %d > $M/maps/user_stacks/symbols" % roots.pid, "Permission denied", user=me)
    m.sh("echo %d > $M/maps/user_stacks/symbols" % mine.pid, user=me)


def test_replace_under_load(m, burn):
    """Another program takes over between two samples, without stopping."""
    m.load("event_samples")
    m.load("event_packets")
    perf(m, "cpu", burn().pid, freq=2000)
    for i in range(50):
        m.sh("echo tick > $M/events/cpu/attach; echo sample > $M/events/cpu/attach")
    wait_count(m, "cpu", "run", 100)
    assert stats(m, "cpu")["state"] == "running"
    m.sh("echo > $M/events/cpu/attach")  # the counts of a sample come one after the other
    s = stats(m, "cpu")
    assert s["dropped"] == "0" and abs(int(s["seen"]) - int(s["run"])) <= 1


@pytest.mark.parametrize("kill", [True, False])
def test_restart(m, burn, kill):
    m.load("event_samples")
    m.load("event_packets")
    perf(m, "cpu", burn().pid)
    make(m, "t", ("type", "timer"), ("interval_ms", "10"), ("attach", "tick"))
    make(m, "half", ("type", "perf"), ("event", "cpu-clock"))
    wait_count(m, "cpu", "run", 10)
    m.restart(kill=kill)
    assert m.read("events", "cpu", "attach") == "sample\n" and m.read("events", "cpu", "freq") == "499\n"
    wait_count(m, "cpu", "run", 10)
    wait_count(m, "t", "run", 10)
    assert m.read("events", "half", "event") == "cpu-clock\n" and stats(m, "half")["state"] == "stopped"
    m.sh("rm -r $M/events/*")
    m.restart(kill=kill)
    assert os.listdir(m.p("events")) == []


def test_restart_after_the_process(m, burn):
    """One that is gone, and another one of its number, are sampled no more."""
    m.load("event_samples")
    gone, other = burn(), burn()
    perf(m, "gone", gone.pid)
    perf(m, "other", other.pid)
    m.kill()
    gone.kill()
    gone.wait()
    with open(os.path.join(m.state, "tree/events/other/.since"), "w") as f:
        f.write("1\n")
    m.start()
    for name in "gone", "other":
        wait_for(lambda: stats(m, name)["state"] == "ended", "the end of " + name)
    m.restart()
    assert stats(m, "gone")["state"] == stats(m, "other")["state"] == "ended"
    assert "could not be started" not in m.errors()


def test_the_mount_waits_for_no_source(m, burn):
    """Nothing that is asked about the processes of sources has an answer, and the mount is there."""
    needs_root("locks the rings of twenty sources")
    m.load("event_samples")
    pid = burn().pid
    for i in range(20):
        perf(m, "p%d" % i, pid)
    m.kill()
    m.start(check=False)

    def agent():
        with contextlib.suppress(OSError, StopIteration):  # there may be no server yet
            with open("/proc/%d/task/%d/children" % (m.server(), m.server())) as f:
                for child in f.read().split():
                    with open("/proc/%s/comm" % child) as comm:
                        if comm.read() == "ubpffs-agent\n":
                            return int(child)
    stopped = agent()
    while not stopped:
        stopped = agent()
    os.kill(stopped, signal.SIGSTOP)
    wait_for(m.serving, "the mount")
    assert len(os.listdir(m.p("events"))) == 20
    os.kill(stopped, signal.SIGCONT)
    wait_count(m, "p19", "run", 10)


def test_flame_graph(m, burn):
    m.load("event_samples")
    pid = burn().pid
    perf(m, "cpu", pid)
    wait_count(m, "cpu", "run", 100)
    svg = subprocess.run([CTL, "-m", m.path, "flame", "-p", str(pid), "-t", "my <title>", m.p("maps", "user_stacks"),
                          m.p("maps", "user_counts")], capture_output=True, text=True, timeout=WAIT)
    assert svg.returncode == 0, svg.stderr
    import xml.etree.ElementTree as xml
    root = xml.fromstring(svg.stdout)
    ns = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(ns + "g")
    names = {g.get("data-n") for g in boxes}
    assert {"all", "main", "work", "sort", "primes_main"} <= names
    assert any(t.text == "my <title>" for t in root.findall(ns + "text"))
    by_depth = {}
    for g in boxes:
        by_depth.setdefault(int(g.get("data-d")), []).append((float(g.get("data-x")), float(g.get("data-w"))))
    for spans in by_depth.values():  # side by side, inside the picture
        spans.sort()
        assert spans[0][0] >= 0 and sum(spans[-1]) <= 1.000001
        assert all(a[0] + a[1] <= b[0] + 1e-6 for a, b in zip(spans, spans[1:]))
    empty = subprocess.run([CTL, "-m", m.path, "flame", "nope"], capture_output=True, text=True, timeout=WAIT)
    assert empty.returncode == 1 and "there is no map" in empty.stderr
    wrong = subprocess.run([CTL, "-m", m.path, "flame", "user_stacks", "user_stacks"], capture_output=True, text=True,
                           timeout=WAIT)
    assert wrong.returncode == 1 and "counts name no stack" in wrong.stderr


# ---- pcap

def packet(proto, payload):
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0, bytes([10, 0, 0, 1]),
                     bytes([10, 0, 0, 2]))
    return bytes(12) + b"\x08\x00" + ip + payload


UDP, TCP = packet(17, bytes(8) + b"x" * 50), packet(6, bytes(20) + b"y" * 30)


def write_pcap(path, packets, link=1):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, link))
        for i, p in enumerate(packets):
            f.write(struct.pack("<IIII", 1000 + i, i, len(p), len(p)) + p)


def read_pcap(path):
    with open(path, "rb") as f:
        data = f.read()
    assert struct.unpack_from("<IHH", data) == (0xa1b2c3d4, 2, 4)
    at, found = 24, []
    while at < len(data):
        sec, usec, caplen, n = struct.unpack_from("<IIII", data, at)
        assert at + 16 + caplen <= len(data)
        found.append((sec, usec, data[at + 16:at + 16 + caplen], n))
        at += 16 + caplen
    return found


def pcap(m, name, prog, *attrs, **kwargs):
    return make(m, name, ("type", "pcap"), *attrs, ("attach", prog), **kwargs)


def test_capture_file(m):
    m.load("event_packets")
    path, out = os.path.join(m.base, "in.pcap"), os.path.join(m.base, "out.pcap")
    write_pcap(path, [UDP] * 5 + [TCP] * 7)
    pcap(m, "f", "keep_udp", ("file", path), ("out", out))
    wait_state(m, "f", "ended")
    s = stats(m, "f")
    assert (s["seen"], s["run"], s["dropped"], s["errors"]) == ("12", "12", "7", "0")
    assert read_pcap(out) == [(1000 + i, i, UDP[:40], len(UDP)) for i in range(5)]  # bytes kept
    assert m.read("maps", "seen", "entries", "17") == "5\n"
    m.sh("echo drop_udp > $M/events/f/attach")  # the file again, with another program
    wait_for(lambda: count(m, "f", "run") == 12 and stats(m, "f")["state"] == "ended", "the second run")
    assert [p[2] for p in read_pcap(out)] == [TCP] * 7
    m.sh("echo grow > $M/events/f/attach")
    wait_for(lambda: stats(m, "f")["state"] == "ended", "the third")
    assert [p[2] for p in read_pcap(out)] == [p + bytes(20) for p in [UDP] * 5 + [TCP] * 7]
    # a filter; another file, which starts it
    m.sh("cd $M/events/f; echo keep_udp > attach")
    wait_state(m, "f", "ended")
    m.sh("cd $M/events/f; echo tcp > filter")
    wait_for(lambda: stats(m, "f")["state"] == "ended" and count(m, "f", "seen") == 7, "the filter")
    m.fails("echo 'no filter (' > $M/events/f/filter", "Invalid argument")
    assert "filter: " in m.log() and m.read("events", "f", "filter") == "tcp\n"
    m.restart()
    assert stats(m, "f")["state"] == "ended" and m.read("maps", "seen", "entries", "6") == "28\n"  # not again


def test_other_links(m):
    """Raw IP, cooked and loopback captures get an Ethernet header."""
    m.load("event_packets")
    for link, head in ((101, b""), (113, bytes(14) + b"\x08\x00"), (0, struct.pack("<I", 2))):
        path, out = os.path.join(m.base, "l%d" % link), os.path.join(m.base, "o%d" % link)
        write_pcap(path, [head + UDP[14:], head + TCP[14:], b"x"], link)
        pcap(m, "l%d" % link, "drop_udp", ("file", path), ("out", out))
        wait_state(m, "l%d" % link, "ended")
        passed = [p[2] for p in read_pcap(out)]
        assert passed[0][12:] == b"\x08\x00" + TCP[14:], link
    assert m.read("maps", "seen", "entries", "17") == "3\n"


@pytest.mark.parametrize("data", [b"", b"\xd4\xc3\xb2\xa1", b"nothing of the kind" * 10,
                                  struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)[:20]])
def test_no_capture(m, data):
    m.load("event_packets")
    path = os.path.join(m.base, "bad")
    with open(path, "wb") as f:
        f.write(data)
    r = pcap(m, "f", "keep_udp", ("file", path), check=False)
    assert r.returncode and "Invalid argument" in r.stderr
    assert path in m.log()


def test_cut_capture(m):
    """What is whole is run; then it says what is wrong."""
    m.load("event_packets")
    path = os.path.join(m.base, "cut")
    write_pcap(path, [UDP] * 3)
    os.truncate(path, os.path.getsize(path) - 10)
    pcap(m, "f", "keep_udp", ("file", path))
    wait_state(m, "f", "failed")
    assert stats(m, "f")["seen"] == "2" and "truncated" in stats(m, "f")["why"]


def test_out_is_full(m):
    """What cannot be written ends the source, says why, and leaves whole packets."""
    m.load("event_packets")
    path, small = os.path.join(m.base, "in.pcap"), os.path.join(m.base, "small")
    write_pcap(path, [UDP] * 3000)
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small]).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        out = os.path.join(small, "out")
        pcap(m, "f", "grow", ("file", path), ("out", out))
        wait_state(m, "f", "failed")
        assert "No space left" in stats(m, "f")["why"]
        found = read_pcap(out)
        assert len(found) > 400 and {p[2] for p in found} == {UDP + bytes(20)}
        m.sh("rm -r $M/events/f")
    finally:
        subprocess.run(["umount", small], check=True)


def test_files_are_the_clients(m):
    """A capture is read, and `out` written, with the client's rights."""
    m.load("event_packets")
    m.sh("chmod 666 $M/progs/keep_udp/prog; chmod 755 $M/progs/keep_udp")
    me = USERS[0]
    path, secret, out = (os.path.join(m.base, n) for n in ("in", "secret", "out"))
    write_pcap(path, [UDP])
    write_pcap(secret, [UDP])
    os.chmod(secret, 0o600)
    r = pcap(m, "a", "keep_udp", ("file", secret), user=me, check=False)
    assert r.returncode and "Permission denied" in r.stderr
    r = pcap(m, "b", "keep_udp", ("file", path), ("out", out), user=me, check=False)  # root's directory
    assert r.returncode and "Permission denied" in r.stderr and not os.path.exists(out)
    os.mkdir(os.path.join(m.base, "his"))
    os.chown(os.path.join(m.base, "his"), me, me)
    out = os.path.join(m.base, "his", "out")
    os.symlink(secret, os.path.join(m.base, "his", "link"))
    r = pcap(m, "c", "keep_udp", ("file", path), ("out", os.path.join(m.base, "his", "link")), user=me, check=False)
    assert r.returncode and "Too many levels" in r.stderr
    assert read_pcap(secret) == [(1000, 0, UDP, len(UDP))]
    pcap(m, "d", "keep_udp", ("file", path), ("out", out), user=me)
    wait_state(m, "d", "ended")
    assert os.stat(out).st_uid == me and len(read_pcap(out)) == 1
    r = pcap(m, "e", "keep_udp", ("interface", "lo"), user=me, check=False)
    assert r.returncode and "Operation not permitted" in r.stderr
    for bad in ("relative", "/dev/null", m.base):
        r = pcap(m, "x" + os.path.basename(bad), "keep_udp", ("file", path), ("out", bad), check=False)
        assert r.returncode, bad


def test_interface(m):
    """Real packets on the loopback, each once; kill -9 leaves a capture that goes on."""
    needs_root("captures on an interface")
    m.load("event_packets")
    out = os.path.join(m.base, "out")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    port = sink.getsockname()[1]
    pcap(m, "lo", "keep_udp", ("interface", "lo"), ("filter", "udp port %d" % port), ("out", out))
    for _ in range(20):
        s.sendto(b"hello, loopback, more than forty bytes of it", ("127.0.0.1", port))
    wait_count(m, "lo", "seen", 20)
    time.sleep(0.3)
    assert count(m, "lo", "seen") == 20 and count(m, "lo", "dropped") == 0
    wait_for(lambda: len(read_pcap(out)) == 20, "the packets in the file")
    m.kill()
    with open(out, "ab") as f:
        f.write(b"half a record")
    m.start()
    wait_state(m, "lo", "running")
    for _ in range(3):
        s.sendto(b"again", ("127.0.0.1", port))
    wait_count(m, "lo", "seen", 3)
    wait_for(lambda: len(read_pcap(out)) == 23, "the packets after the restart")
    r = pcap(m, "no", "keep_udp", ("interface", "nosuch0"), check=False)
    assert r.returncode and "there is no interface nosuch0" in m.log()


def test_interface_actions(m):
    """Actions on a live interface, into `out`; a source goes while packets come."""
    needs_root("captures on an interface")
    m.load("event_packets")
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    port = sink.getsockname()[1]
    sender = subprocess.Popen([sys.executable, "-c", """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.time() + 100
while time.time() < end:
    s.sendto(b"x" * 60, ("127.0.0.1", %d))
""" % port])
    outs = [os.path.join(m.base, n) for n in ("xdp", "tc")]
    try:
        for prog, out in zip(("drop_udp", "grow"), outs):
            pcap(m, prog, prog, ("interface", "lo"), ("filter", "udp port %d" % port), ("out", out))
        for prog in ("drop_udp", "grow"):
            wait_count(m, prog, "run", 500)
        assert stats(m, "grow")["dropped"] == "0"
        m.sh("echo > $M/events/drop_udp/attach")  # the counts of a packet come one after the other
        s = stats(m, "drop_udp")
        assert s["dropped"] == s["run"] and s["errors"] == "0"
        m.sh("echo drop_udp > $M/events/drop_udp/attach; rm -r $M/events/drop_udp; rmdir $M/events/grow")
        assert sender.poll() is None and os.listdir(m.p("events")) == []
    finally:
        sender.kill()
        sender.wait()
    assert read_pcap(outs[0]) == []
    grown = read_pcap(outs[1])
    assert len(grown) >= 500 and {len(p[2]) for p in grown} == {14 + 20 + 8 + 60 + 20}


# ---- timer

def test_timer(m):
    m.load("event_packets")
    make(m, "t", ("type", "timer"), ("interval_ms", "20"), ("attach", "tick"))
    start = time.monotonic()
    wait_count(m, "t", "run", 10)
    assert time.monotonic() - start > 0.15
    assert int(m.read("maps", "seen", "entries", "255")) >= 10
    m.sh("echo tick_packet > $M/events/t/attach")  # of another type: it begins anew
    wait_count(m, "t", "run", 5)
    assert count(m, "t", "dropped") == 0
    m.sh("rmdir $M/events/t")
    n = m.read("maps", "seen", "entries", "255")
    time.sleep(0.2)
    assert m.read("maps", "seen", "entries", "255") == n


def test_the_end_waits_for_no_slot(m):
    """A hundred sources whose runs are endless, each for a second of processor time: all stop at once."""
    m.load("endless")
    for i in range(100):
        make(m, "t%d" % i, ("type", "timer"), ("interval_ms", "1"), ("attach", "endless_loop"))
    m.wait_busy()
    m.sh("rmdir $M/events/t1 $M/events/t2")
    m.umount()
    m.start()


def test_more_sources_than_slots(m, burn):
    """Sources share the engine's CPUs with everybody else."""
    m.load("event_samples")
    m.load("event_packets")
    pid = burn().pid
    for i in range(6):
        make(m, "t%d" % i, ("type", "timer"), ("interval_ms", "1"), ("attach", "tick"))
        perf(m, "p%d" % i, pid, freq=997)
    for i in range(6):
        wait_count(m, "t%d" % i, "run", 50)
        wait_count(m, "p%d" % i, "run", 50)
    m.sh("head -c 64 /dev/zero > $M/progs/drop_udp/run")  # others run, too
    m.sh("rm -r $M/events/*")


def test_server_of_a_user(user_mount):
    """Without root: one's own processes, one's own files."""
    if paranoid() > 2:
        pytest.skip("perf_event_paranoid is %d: ordinary users sample nothing" % paranoid())
    u = user_mount.start()
    me = USERS[0]
    path = os.path.join(u.base, "burn")
    shutil.copy(BURN, path)
    mine = subprocess.Popen([path, "60"], **as_user(me))
    roots = subprocess.Popen([path, "60"])
    try:
        u.load("event_samples")
        perf(u, "cpu", roots.pid, check=False)
        assert "does not let uid %d sample" % me in u.log()
        u.sh("cd $M/events/cpu && echo %d > pid && echo sample > attach" % mine.pid)
        wait_for(lambda: "\nrun: 0\n" not in u.out("cat $M/events/cpu/stats"), "samples")
        u.sh("echo %d > $M/maps/user_stacks/symbols" % mine.pid)
        u.fails("echo %d > $M/maps/user_stacks/symbols" % roots.pid, "Permission denied")
        wait_for(lambda: "is_prime" in u.out("cat $M/maps/user_stacks/dump"), "names")
        r = pcap(u, "lo", "sample", ("interface", "lo"), check=False)
        assert r.returncode
        u.sh("rm -r $M/events/*")
    finally:
        for p in (mine, roots):
            p.kill()
            p.wait(WAIT)


def test_hostile_symbols(m, burn):
    """A process whose files are no ELF any more, or lie: addresses without names, and the server lives."""
    m.load("event_samples")
    path = os.path.join(m.base, "liar")
    with open(BURN, "rb") as f:
        data = bytearray(f.read())
    shoff, = struct.unpack_from("<Q", data, 40)
    shnum, = struct.unpack_from("<H", data, 60)
    for i in range(shnum):  # every section: sizes and offsets far outside, links to nowhere
        struct.pack_into("<QQ", data, shoff + i * 64 + 24, (1 << 62) + i, (1 << 63) + 8)
        struct.pack_into("<I", data, shoff + i * 64 + 40, 0xfffffff0)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o755)
    p = subprocess.Popen([path, "100"])
    try:
        perf(m, "cpu", p.pid)
        wait_count(m, "cpu", "run", 20)
        m.sh("echo %d > $M/maps/user_stacks/symbols" % p.pid)
        text = m.read("maps", "user_stacks", "dump")
        assert "/liar)" in text and "is_prime" not in text
        m.sh("echo > $M/events/cpu/attach; cd $M/events/cpu; echo dwarf > unwind; echo sample > attach")
        wait_count(m, "cpu", "run", 20)
    finally:
        p.kill()
        p.wait(WAIT)
    m.fails("echo 2147483647 > $M/maps/user_stacks/symbols", "No such process")
    m.fails("echo x > $M/maps/user_stacks/symbols", "Invalid argument")
