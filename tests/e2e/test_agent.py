"""
What a client names: opened, read, written and closed by a process that is the client, and never waited for by others.

Sources of packets (`file`, `out`) stand for all of it here. hostile_fuse.c is a user's own mount that leaves some requests
without an answer for ever.
"""
import contextlib
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from conftest import open_dev_fuse, BUILD, USERS, WAIT, as_user, needs_root, wait_for
from test_events import UDP, make, pcap, read_pcap, stats, wait_count, wait_state, write_pcap

HOSTILE = os.path.join(BUILD, "tests", "e2e", "hostile_fuse")


def children(pid):
    """Processes below this one, parents first: (pid, parent, name). A child's number may be the smaller one."""
    rows, found = [], []
    for p in os.listdir("/proc"):
        if p.isdigit():
            with contextlib.suppress(OSError):
                with open("/proc/%s/stat" % p) as f:
                    head, tail = f.read().rsplit(")", 1)
                rows.append((int(p), int(tail.split()[1]), head.split("(", 1)[1]))
    parents = {pid}
    while parents:
        below = [row for row in rows if row[1] in parents]
        found += below
        parents = {row[0] for row in below}
    return found


def agent(m):
    """The agent's pid, and those of its children."""
    rows = children(m.server())
    pids = [p for p, parent, name in rows if parent == m.server() and name == "ubpffs-agent"]
    assert len(pids) == 1, rows
    return pids[0], [p for p, parent, _ in rows if parent == pids[0]]


@contextlib.contextmanager
def hostile(m, *requests, user=None):
    """A mount of that user's whose requests of these kinds are never answered: its file, and what was not answered."""
    where, said_to = os.path.join(m.base, "hostile"), os.path.join(m.base, "unanswered")
    os.mkdir(where)
    if user is not None:
        os.chown(where, user, user)
    with open(said_to, "w") as f, open_dev_fuse():
        p = subprocess.Popen([HOSTILE, where, *requests], stdout=f, **as_user(user))
        wait_for(lambda: os.stat(said_to).st_size or p.poll() is not None, "the hostile mount")

    def unanswered():
        with open(said_to) as f:
            return f.read().split()
    try:
        if p.poll() is not None:
            pytest.skip("no FUSE mounts for this user")
        yield os.path.join(where, "f"), unanswered
    finally:
        p.kill()
        p.wait(WAIT)
        subprocess.run(["umount", "-l", where], capture_output=True)
        subprocess.run(["fusermount3", "-uz", where], capture_output=True)


def allow_all(m, *progs):
    for p in progs:
        m.sh("chmod 666 $M/progs/%s/prog; chmod 755 $M/progs/%s" % (p, p))


def begin(m, name, *attrs, user=None):
    """A start that may not end: the shell that waits for it."""
    make(m, name, ("type", "pcap"), *attrs, user=user)
    return subprocess.Popen(["bash", "-c", "echo keep_udp > %s" % m.p("events", name, "attach")],
                            stderr=subprocess.PIPE, text=True, **as_user(user if user is not None else m.user))


def said(p):
    return p.communicate(timeout=WAIT)[1]


def others_go_on(m):
    """Everything that decides about sources, and a load and a run, by somebody else."""
    make(m, "other", ("type", "timer"), ("interval_ms", "5"), ("attach", "tick"))
    m.sh("cat $M/events/*/stats $M/events/*/attach > /dev/null")
    wait_count(m, "other", "run", 2)
    m.sh("echo > $M/events/other/attach; rm -r $M/events/other")
    m.sh("head -c 64 /dev/zero > $M/progs/drop_udp/run")


# ---- what is opened

def test_links_of_proc(m):
    """No path leads to a descriptor of any process: not as a client, and not as the server's own user."""
    m.load("event_packets")
    allow_all(m, "keep_udp")
    m.load("global_data")  # native code, maps: descriptors that somebody would want
    path, out = os.path.join(m.base, "in"), os.path.join(m.base, "link")
    write_pcap(path, [UDP] * 3)
    before = {f: os.stat(os.path.join(m.state, "objects", f)).st_size for f in m.objects()}
    user = None if os.geteuid() else USERS[0]
    server = m.server()
    fds = sorted(int(fd) for fd in os.listdir("/proc/%d/fd" % server))
    os.symlink("/proc/%d/fd/%d" % (server, fds[-1]), out)
    bad = ["/proc/self/fd/%d" % fd for fd in range(3, 12)] + ["/proc/%d/fd/%d" % (server, fd) for fd in fds] + [
        "/proc/self/exe", "/proc/thread-self/fd/3", "/proc/self/root" + path, "/proc/self/cwd/x", "/dev/fd/3",
        "/proc/self/comm", "/proc/self/oom_score_adj", "/proc/sys/kernel/core_pattern", out]
    for who in {user, None}:
        name = "u" if who else "r"
        make(m, name, ("type", "pcap"), user=who)
        for attr, ok in (("out", "file"), ("file", None)):
            script = "cd $M/events/%s\n" % name
            if ok:
                script += "echo %s > %s\n" % (path, ok)
            for b in bad:
                script += "echo %s > %s; if echo keep_udp > attach; then echo STARTED %s; fi; echo > attach\n" % (
                    b, attr, b)
            r = m.sh(script + "echo > %s" % attr, user=who)
            assert "STARTED" not in r.stdout
            assert r.stderr.count("Too many levels") + r.stderr.count("Permission denied") >= len(bad), r.stderr
        log = m.sh("cat $M/log", user=who).stdout
        assert "files of /proc are not opened" in log and "leads to another process's files" in log
    assert {f: os.stat(os.path.join(m.state, "objects", f)).st_size for f in m.objects()} == before
    m.sh("head -c 64 /dev/zero > $M/progs/keep_udp/run")


def test_only_regular_files(m):
    """A device, a FIFO, a directory: none is even opened."""
    m.load("event_packets")
    path, fifo, sub = (os.path.join(m.base, n) for n in ("in", "fifo", "sub"))
    write_pcap(path, [UDP])
    os.mkfifo(fifo)
    os.mkdir(sub)
    waiting = subprocess.Popen(["dd", "if=" + fifo, "of=/dev/null"], stderr=subprocess.DEVNULL)
    try:
        for i, bad in enumerate((fifo, sub, sub + "/", sub + "/.", sub + "/..", "/", "/dev/null", "/dev/zero",
                                 path + "/")):
            r = pcap(m, "o%d" % i, "keep_udp", ("file", path), ("out", bad), check=False)
            assert r.returncode and ("Invalid argument" in r.stderr or "Not a directory" in r.stderr), (bad, r.stderr)
            r = pcap(m, "f%d" % i, "keep_udp", ("file", bad), check=False)
            assert r.returncode and ("Invalid argument" in r.stderr or "Not a directory" in r.stderr), (bad, r.stderr)
        assert "not a regular file" in m.log()
        assert waiting.poll() is None
        r = pcap(m, "none", "keep_udp", ("file", path + "x"), check=False)
        assert r.returncode and "No such file" in r.stderr
        r = pcap(m, "long", "keep_udp", ("file", "/" + "x" * 300), check=False)
        assert r.returncode and "File name too long" in r.stderr
    finally:
        waiting.kill()
        waiting.wait()


def test_links(m):
    """A capture may be read through links; what is written is the file itself."""
    m.load("event_packets")
    path, out = os.path.join(m.base, "in"), os.path.join(m.base, "out")
    write_pcap(path, [UDP] * 2)
    os.symlink("in", os.path.join(m.base, "l1"))
    os.symlink(m.base, os.path.join(m.base, "up"))
    os.symlink("up/up/l1", os.path.join(m.base, "l2"))
    os.symlink("loop", os.path.join(m.base, "loop"))
    pcap(m, "ok", "keep_udp", ("file", os.path.join(m.base, "l2")), ("out", os.path.join(m.base, "up", "out")))
    wait_state(m, "ok", "ended")
    assert len(read_pcap(out)) == 2
    for attr, bad in (("out", "l1"), ("out", "loop"), ("file", "loop"), ("file", "loop/x")):
        r = pcap(m, attr + bad[0] + str(len(bad)), "keep_udp", *(() if attr == "file" else (("file", path),)),
                 (attr, os.path.join(m.base, bad)), check=False)
        assert r.returncode and "Too many levels" in r.stderr, (attr, bad)
    assert len(read_pcap(path)) == 2


SWAPPER = '''
import os, sys
name, secret = sys.argv[1:]
new = name + "x"
while True:
    for target in secret, "/proc/self/fd/3", None:
        os.mkfifo(new) if target is None else os.symlink(target, new)
        os.rename(new, name)
        open(new, "w").close()
        os.rename(new, name)
'''


def test_a_name_that_changes(m):
    """What was looked at is what is used: a name that becomes a link or a FIFO in between leads nowhere, also for root."""
    m.load("event_packets")
    allow_all(m, "keep_udp")
    user = None if os.geteuid() else USERS[0]
    path, secret, sub = (os.path.join(m.base, n) for n in ("in", "secret", "sub"))
    write_pcap(path, [UDP])
    with open(secret, "w") as f:
        f.write("secret")
    os.chmod(secret, 0o600)
    os.mkdir(sub)
    if user is not None:
        os.chown(sub, user, user)
    swapped = os.path.join(sub, "f")
    swapper = subprocess.Popen([sys.executable, "-c", SWAPPER, swapped, secret], **as_user(user))
    try:
        wait_for(lambda: os.path.lexists(swapped), "the name")
        for who in {user, None}:
            make(m, "u" if who else "r", ("type", "pcap"), ("file", path), ("out", swapped), user=who)
            make(m, "fu" if who else "fr", ("type", "pcap"), ("file", swapped), user=who)
            m.sh("for i in $(seq 20); do for s in $M/events/*[%s]; do echo keep_udp > $s/attach; echo > $s/attach; done"
                 "; done 2>/dev/null; true" % ("u" if who else "r"), user=who)
        with open(secret) as f:
            assert f.read() == "secret"
        assert swapper.poll() is None
    finally:
        swapper.kill()
        swapper.wait()


def test_own_state(m):
    """The server's own files are refused, also to who may open them, by whatever name."""
    m.load("event_packets")
    path, alias = os.path.join(m.base, "in"), os.path.join(m.base, "alias")
    write_pcap(path, [UDP])
    os.symlink(m.state, alias)
    files = [os.path.join(m.state, "objects", f) for f in m.objects()[:1]]
    files += [os.path.join(top, f) for where in (m.state, alias) for top, f in
              ((where, "new"), (os.path.join(where, "tree", "maps"), "new"))]
    for i, f in enumerate(files):
        r = pcap(m, "o%d" % i, "keep_udp", ("file", path), ("out", f), check=False)
        assert r.returncode and "Permission denied" in r.stderr, f
        assert os.path.exists(f) == (i == 0)
    r = pcap(m, "f", "keep_udp", ("file", files[0]), check=False)
    assert r.returncode and "Permission denied" in r.stderr
    assert "the server's own state directory" in m.log()
    m.restart()
    m.sh("head -c 64 /dev/zero > $M/progs/drop_udp/run")


def test_one_writer(m):
    """Two sources do not write one file; one that was stopped does not disturb the next."""
    needs_root("captures on an interface")
    m.load("event_packets")
    path, out = os.path.join(m.base, "in"), os.path.join(m.base, "out")
    write_pcap(path, [UDP])
    pcap(m, "live", "keep_udp", ("interface", "lo"), ("filter", "udp port 9"), ("out", out))
    r = pcap(m, "b", "keep_udp", ("file", path), ("out", out), check=False)
    assert r.returncode and "Device or resource busy" in r.stderr and "another source writes it" in m.log()
    m.sh("echo > $M/events/live/attach; echo keep_udp > $M/events/b/attach")
    wait_state(m, "b", "ended")
    assert len(read_pcap(out)) == 1


# ---- who waits

@pytest.mark.parametrize("attr,request_", [("file", r) for r in ("lookup", "getattr", "open", "read", "flush", "release")] +
                         [("out", r) for r in ("lookup", "getattr", "open", "setattr", "write", "flush")])
def test_never_answers(m, dev_fuse, attr, request_):
    """A user's mount that leaves a request without an answer holds up that user's own source, and nothing else."""
    user = None if os.geteuid() else USERS[0]
    m.load("event_packets")
    allow_all(m, "keep_udp")
    path = os.path.join(m.base, "in")
    write_pcap(path, [UDP] * 10)
    with hostile(m, request_, user=user) as (f, unanswered):
        attrs = (("file", f),) if attr == "file" else (("file", path), ("out", f))
        writer = begin(m, "x", *attrs, user=user)
        wait_for(lambda: request_ in unanswered(), "the request")  # from here on it hangs
        others_go_on(m)
        if writer.poll() is None and stats(m, "x")["state"] == "starting":
            m.fails("echo udp > $M/events/x/filter", "Device or resource busy", user=user)
            m.sh("echo > $M/events/x/attach", user=user)  # gives the start up
            assert "canceled" in said(writer)
            writer = begin_again(m, "x", user)
            wait_state(m, "x", "starting")
            writer.send_signal(signal.SIGINT)  # so does who waits for it
            said(writer)
            wait_for(lambda: stats(m, "x")["state"] != "starting", "the start to end")
        elif request_ == "release" or (attr, request_) == ("file", "flush"):
            wait_state(m, "x", "ended")  # what it had to say was said
        m.sh("rm -r $M/events/x", user=user)
        said(writer)
        others_go_on(m)
        # a definition that hangs does not hold up a start of the server, and SIGKILL ends one that has such clients
        writer = begin(m, "y", *attrs, user=user)
        wait_for(lambda: stats(m, "y")["state"] != "stopped", "the start")
        m.kill()
        said(writer)
        m.start()
        others_go_on(m)
        m.umount()
        m.start()


def begin_again(m, name, user):
    return subprocess.Popen(["bash", "-c", "trap 'exit 1' INT; echo keep_udp > %s" % m.p("events", name, "attach")],
                            stderr=subprocess.PIPE, text=True, **as_user(user if user is not None else m.user))


def test_many_that_hang(m, dev_fuse):
    """More starts that hang than there are threads."""
    user = None if os.geteuid() else USERS[0]
    m.load("event_packets")
    allow_all(m, "keep_udp")
    with hostile(m, "open", user=user) as (f, unanswered):
        writers = [begin(m, "x%d" % i, ("file", f), user=user) for i in range(20)]
        wait_for(lambda: unanswered().count("open") == 20, "all of them to hang")
        others_go_on(m)
        writers[0].kill()
        said(writers[0])  # SIGKILL ends who waits
        m.sh("rm -r $M/events/x*", user=user)
        for w in writers[1:]:
            assert "canceled" in said(w)


# ---- the processes

def test_a_clients_process(m, dev_fuse):
    """It is the client for good, and holds nothing but its socket and what it opened."""
    needs_root("has other users")
    user = USERS[0]
    m.load("event_packets")
    allow_all(m, "keep_udp")
    with hostile(m, "read", user=user) as (f, unanswered):
        writer = begin(m, "x", ("file", f), user=user)
        wait_for(lambda: "read" in unanswered(), "the read")
        pid, below = agent(m)
        assert len(below) == 1
        with open("/proc/%d/status" % below[0]) as s:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in s if ":\t" in line)
        assert status["Uid"].split() == [str(user)] * 4 and len(set(status["Gid"].split())) == 1
        assert "0" not in status["Groups"].split()
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1"
        fds = {fd: os.readlink("/proc/%d/fd/%s" % (below[0], fd)) for fd in os.listdir("/proc/%d/fd" % below[0])}
        kept = [os.path.realpath(v) for k, v in fds.items() if k not in ("2",)]
        assert sorted(k for k in kept if k.startswith("/dev/")) == ["/dev/null"] * 2 and f in kept
        assert len(kept) == 4 and sum(v.startswith("socket:") for v in fds.values()) == 1, fds
        fds = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid) if fd != "2"]
        assert not [v for v in fds if v.startswith(m.base) or v.startswith(m.state) or "memfd" in v], fds
        m.sh("rm -r $M/events/x", user=user)
        said(writer)


def test_its_end_is_the_sources(m):
    """Who kills the process that writes for a source ends the source, which says so."""
    needs_root("captures on an interface")
    m.load("event_packets")
    pcap(m, "live", "keep_udp", ("interface", "lo"), ("filter", "udp port 9"), ("out", os.path.join(m.base, "out")))
    for p in agent(m)[1]:
        os.kill(p, signal.SIGKILL)
    wait_state(m, "live", "failed")
    assert "has ended" in stats(m, "live")["why"]
    others_go_on(m)


def test_agent_is_gone(m):
    """Without the agent nothing is opened for anybody, and it is said."""
    m.load("event_packets")
    path = os.path.join(m.base, "in")
    write_pcap(path, [UDP])
    make(m, "t", ("type", "timer"), ("interval_ms", "5"), ("attach", "tick"))
    os.kill(agent(m)[0], signal.SIGKILL)
    r = pcap(m, "f", "keep_udp", ("file", path), check=False)
    assert r.returncode and "Input/output error" in r.stderr
    assert "start the server again" in m.log()
    others_go_on(m)
    wait_count(m, "t", "run", 5)
    m.restart(kill=False)
    m.sh("echo keep_udp > $M/events/f/attach")
    wait_state(m, "f", "ended")
    assert stats(m, "f")["seen"] == "1"


def test_starts_leak_nothing(m):
    """A start by a user costs the server no descriptor and no memory, with loads in between."""
    user = None if os.geteuid() else USERS[0]
    m.load("event_packets")
    allow_all(m, "keep_udp")
    path = os.path.join(m.base, "in")
    write_pcap(path, [])
    make(m, "f", ("type", "pcap"), ("file", path), user=user)
    script = ("for i in 1 2 3 4 5 6 7 8; do echo keep_udp > $M/events/f/attach && echo > $M/events/f/attach && "
              "cat $P/shared_map_a.bpf.o > $M/progs/new && rm -r $M/progs/shared_a; done")
    m.sh(script, user=user)

    def held():
        with open("/proc/%d/maps" % m.server()) as f:
            packs = sum("bpf-jit" in line for line in f)
        return len(os.listdir("/proc/%d/fd" % m.server())), packs
    first = held()
    m.sh(script, user=user)
    wait_for(lambda: held() <= first, "descriptors and packs of code as before: %s" % (first,))
    wait_for(lambda: not agent(m)[1], "the processes to end")


def test_modes_of_memory(m):
    """What the server holds in memory nobody opens by /proc."""
    m.load("event_packets")
    m.sh("head -c 64 /dev/zero > $M/progs/drop_udp/run")
    modes = {}
    for fd in os.listdir("/proc/%d/fd" % m.server()):
        link = "/proc/%d/fd/%s" % (m.server(), fd)
        with contextlib.suppress(OSError):
            if "memfd:" in os.readlink(link):
                modes[os.readlink(link)] = stat.S_IMODE(os.stat(link).st_mode)
    assert any("bpf-jit" in name for name in modes)
    assert all(mode == 0 if "bpf-jit" in name else mode & 0o77 == 0 for name, mode in modes.items()), modes
