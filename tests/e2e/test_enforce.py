"""
-o enforce: the programs of M/cgroup decide over the packets of real sockets, in a network namespace of the test.

A socket belongs to the cgroup and the network namespace of the process that made it, whoever holds it later: short-lived
children make them and pass them to the test, which then plays all the parts. Letters are fs/source/enforce.h's.
"""
import ctypes
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from conftest import PROGS, SLOW, USERS, WAIT, Mount, make_base, make_mount, wait_for

PY = "/usr/bin/python3"
QUIET = 0.25 * SLOW  # nothing more comes
TREE = ["A", "A/B", "A/B/C", "A/B/D", "A/B/D/E"]
LOCAL = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

MAKE_SOCKET = """
import os, socket, sys
family, kind = int(sys.argv[1]), int(sys.argv[2])
if sys.argv[3]:
    with open(sys.argv[3], "w") as f:
        f.write("0")
s = socket.socket(family, kind)
out = socket.socket(fileno=0)
socket.send_fds(out, [b"x"], [s.fileno()])
"""


def cgroup2():
    with open("/proc/self/mountinfo") as f:
        for line in f:
            if " - cgroup2 " in line and line.split()[3] == "/":
                return line.split()[4]
    return None


def host_name(state):
    """What a server with this state calls its things on the host: FNV-1a of the path."""
    value = 0xcbf29ce484222325
    for byte in os.path.realpath(state).encode():
        value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return "ubpffs-%016x" % value


class Enforcing(Mount):
    """A server that enforces in the namespace of `holder`."""

    def setup(self, holder, mode="enforce"):
        self.net = ["nsenter", "--net=/proc/%d/ns/net" % holder]
        self.mode = mode

    def argv(self, *options):
        return self.net + super().argv(self.mode, *options)

    def sock(self, cgroup, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
        procs = self.p("cgroup", cgroup, "cgroup.procs") if cgroup is not None else ""
        ours, theirs = socket.socketpair()
        subprocess.run(self.net + [PY, "-c", MAKE_SOCKET, str(int(family)), str(int(kind)), procs],
                       stdin=theirs, check=True, timeout=WAIT)
        fds = socket.recv_fds(ours, 1, 1)[1]
        ours.close()
        theirs.close()
        s = socket.socket(fileno=fds[0])
        s.settimeout(WAIT)
        return s

    def receiver(self, cgroup=None, family=socket.AF_INET):
        s = self.sock(cgroup, family)
        s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        s.bind((LOCAL[family], 0))
        return s

    def tree(self):
        for name in TREE:
            os.mkdir(self.p("cgroup", name))

    def attach(self, cgroup, line, direction="egress"):
        with open(self.p("cgroup", cgroup, direction + ".attach"), "w") as f:
            f.write(line + "\n")

    def counts(self, cgroup):
        return {k: int(v) for k, v in self.info("cgroup", cgroup, "stats").items()}

    def host_base(self):
        return os.path.join(cgroup2(), host_name(self.state))

    def host_dirs(self):
        return sorted(d for d, _, _ in os.walk(self.host_base()))

    def rules(self):
        return subprocess.run(self.net + ["nft", "list", "tables"], capture_output=True, text=True,
                              timeout=WAIT).stdout


@pytest.fixture
def holder():
    if os.geteuid():
        pytest.skip("only root makes network namespaces here")
    if not cgroup2():
        pytest.skip("no cgroup v2 is mounted")
    if not shutil.which("nft"):
        pytest.skip("nft is not installed")
    proc = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up && echo && exec sleep 1000"],
                            stdout=subprocess.PIPE)
    try:
        if not proc.stdout.readline():
            pytest.skip("no network namespace can be made")
        yield proc.pid
    finally:
        proc.kill()
        proc.wait()


@pytest.fixture
def cold_e(holder):
    mount, dirs = make_mount("disk")
    mount.__class__ = Enforcing
    mount.setup(holder)
    yield mount
    try:
        mount.end()
        # D: an ordered end leaves nothing.
        assert mount.rules() == ""
        assert mount.host_dirs() == []
    finally:
        for d in dirs:
            shutil.rmtree(d, ignore_errors=True)


def started(mount):
    mount.start(check=False)
    wait_for(lambda: mount.proc.poll() is not None or mount.serving(), "the mount")
    if mount.proc.poll() is not None and "the kernel needs" in mount.errors():
        mount.expect(".")
        pytest.skip(mount.errors())
    assert mount.proc.poll() is None, mount.errors()
    return mount


@pytest.fixture
def e(cold_e):
    m = started(cold_e)
    m.load("cgroup_verdicts")
    return m


def drain(s, want=0):
    """Everything that arrives: until `want` are there, then until it is quiet."""
    got = []
    end = time.monotonic() + WAIT
    while True:
        enough = len(got) >= want
        if not select.select([s], [], [], QUIET if enough else max(0, end - time.monotonic()))[0]:
            return got
        got.append(s.recv(1 << 16))


def arrived(e, senders, family):
    """From which cgroups packets get out."""
    r = e.receiver(None, family)
    for name, s in senders.items():
        s.sendto(name.encode(), r.getsockname()[:2])
    got = drain(r)
    r.close()
    return sorted(g.decode() for g in got)


def reached(e, cgroups, family):
    """To which cgroups packets get in."""
    out = e.sock(None, family)
    receivers = {name: e.receiver(name, family) for name in cgroups}
    for r in receivers.values():
        out.sendto(b"x", r.getsockname()[:2])
    time.sleep(QUIET)
    got = sorted(name for name, r in receivers.items() if select.select([r], [], [], 0)[0])
    for s in [out] + list(receivers.values()):
        s.close()
    return got


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_seed_example(e, family):
    """A: B - C, D - E below B; one on B is effective for all four, one on D takes over there and gives back."""
    e.tree()
    senders = {name: e.sock(name, family) for name in TREE}

    def expect(allowed):
        assert arrived(e, senders, family) == sorted(allowed)
        assert reached(e, TREE, family) == sorted(allowed)

    def both(cgroup, line):
        for direction in ("egress", "ingress"):
            e.attach(cgroup, line, direction)

    expect(TREE)
    both("A/B", "deny")
    expect(["A"])
    both("A/B/D", "allow")
    expect(["A", "A/B/D", "A/B/D/E"])
    both("A/B/D", "")
    expect(["A"])
    both("A/B", "allow")
    both("A/B/D/E", "deny")
    expect(["A", "A/B", "A/B/C", "A/B/D"])
    both("A/B/D/E", "")
    both("A/B", "")
    expect(TREE)
    # Counted where it happened: seven rounds.
    assert {k: v for k, v in e.counts("A").items() if k != "id"} == {
        "egress_allowed": 6, "ingress_allowed": 6, "egress_dropped": 0, "ingress_dropped": 0}
    assert e.counts("A/B/C")["egress_dropped"] == 3 and e.counts("A/B/C")["egress_allowed"] == 3
    assert e.counts("A/B/D/E")["ingress_dropped"] == 3 and e.counts("A/B/D/E")["ingress_allowed"] == 3
    for s in senders.values():
        s.close()


def test_context(e):
    """The program sees the packet from the network header on, with addresses from its socket's side."""
    e.load("cgroup_context")
    os.mkdir(e.p("cgroup", "A"))
    e.attach("A", "see_out")
    e.attach("A", "see_in", "ingress")
    ids = {e.counts("A")["id"]}, {e.counts(".")["id"]}
    for row, family in enumerate((socket.AF_INET, socket.AF_INET6)):
        inner, outer = e.receiver("A", family), e.receiver(None, family)
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 77)
        inner.sendto(b"x" * 100, outer.getsockname()[:2])
        assert outer.recv(200) == b"x" * 100
        outer.sendto(b"y" * 50, inner.getsockname()[:2])
        assert inner.recv(200) == b"y" * 50
        for direction, size, mark in ((0, 100, 77), (2, 50, 0)):
            raw = bytes.fromhex(e.read("maps", "records", "entries", str(row + direction)).replace(" ", ""))
            v = struct.unpack("<10I", raw[:40])
            ip6 = struct.unpack(">4I", raw[40:56]), struct.unpack(">4I", raw[56:72])
            cgroup, root = struct.unpack("<QQ", raw[72:88])
            header = 28 if family == socket.AF_INET else 48
            assert v[0] == size + header
            assert socket.ntohs(v[1]) == (0x0800, 0x86dd)[row]
            assert v[2] == 1 and v[3] == mark and v[4] == int(family)
            assert v[7] == inner.getsockname()[1]
            assert socket.ntohs(v[8]) == outer.getsockname()[1]
            assert v[9] >> 4 == (4, 6)[row]
            if family == socket.AF_INET:
                assert struct.pack("<I", v[5]) == struct.pack("<I", v[6]) == socket.inet_aton("127.0.0.1")
            else:
                assert ip6[0][3] == ip6[1][3] == 1
            assert ({cgroup}, {root}) == ids
        inner.close()
        outer.close()


def test_tcp(e):
    """A connection carries data in large packets; a drop on ingress ends it, and lifting it lets it go on."""
    os.mkdir(e.p("cgroup", "A"))
    server = e.sock("A", socket.AF_INET, socket.SOCK_STREAM)
    server.bind(("127.0.0.1", 0))
    server.listen()
    client = e.sock(None, socket.AF_INET, socket.SOCK_STREAM)
    e.attach("A", "deny", "ingress")
    client.settimeout(0.7)
    with pytest.raises(socket.timeout):
        client.connect(server.getsockname())
    e.attach("A", "", "ingress")
    client.close()
    client = e.sock(None, socket.AF_INET, socket.SOCK_STREAM)
    client.connect(server.getsockname())
    conn = server.accept()[0]
    conn.settimeout(WAIT)
    total = 0
    data = bytes(1 << 20)
    for _ in range(8):
        pos = 0
        while pos < len(data):
            pos += client.send(data[pos:pos + 100000])
            total += len(conn.recv(1 << 20))
    while total < 8 << 20:
        total += len(conn.recv(1 << 20))
    stats = e.counts("A")
    assert stats["ingress_dropped"] > 0 and stats["ingress_allowed"] > 20
    e.attach("A", "deny", "ingress")
    client.send(b"late")
    assert not select.select([conn], [], [], QUIET)[0]
    e.attach("A", "", "ingress")
    assert conn.recv(10) == b"late"
    for s in (client, conn, server):
        s.close()


@pytest.mark.parametrize("family,listen", [(socket.AF_INET, socket.AF_INET), (socket.AF_INET6, socket.AF_INET6),
                                           (socket.AF_INET, socket.AF_INET6)])
def test_synack(e, family, listen):
    """A SYN-ACK has no socket yet: its listener's cgroup decides, also for IPv4 at an IPv6 listener."""
    os.mkdir(e.p("cgroup", "A"))
    server = e.sock("A", listen, socket.SOCK_STREAM)
    server.bind(("::" if listen == socket.AF_INET6 else LOCAL[listen], 0))
    server.listen()
    to = (LOCAL[family], server.getsockname()[1])
    e.attach("A", "deny")
    client = e.sock(None, family, socket.SOCK_STREAM)
    client.settimeout(0.7)
    with pytest.raises(socket.timeout):
        client.connect(to)
    client.close()
    assert e.counts("A")["egress_dropped"] > 0 and e.counts("A")["egress_allowed"] == 0
    e.attach("A", "allow")
    client = e.sock(None, family, socket.SOCK_STREAM)
    client.connect(to)
    assert e.counts("A")["egress_allowed"] > 0
    # A listener outside is nobody's business.
    other = e.sock(None, family, socket.SOCK_STREAM)
    other.bind((LOCAL[family], 0))
    other.listen()
    e.attach(".", "deny")
    second = e.sock(None, family, socket.SOCK_STREAM)
    second.connect(other.getsockname()[:2])
    for s in (client, server, other, second):
        s.close()


def churn(e, cgroup, times, senders):
    """Replace what is attached many times while packets go out; how many did, and changes."""
    sent = 0
    fd = os.open(e.p("cgroup", cgroup, "egress.attach"), os.O_WRONLY)
    for i in range(times):
        os.write(fd, (b"allow\n", b"allow2\n")[i % 2])
        for s, to in senders:
            for _ in range(2):
                s.sendto(b"%d" % sent, to)
                sent += 1
    os.close(fd)
    return sent


def test_replace_under_load(e):
    """A: 1,000 replacements; nothing is lost while every version allows, nothing escapes while an ancestor drops."""
    e.tree()
    receivers = [e.receiver() for _ in range(2)]
    senders = [(e.sock("A/B"), receivers[0].getsockname()), (e.sock("A/B/D/E"), receivers[1].getsockname())]
    sent = churn(e, "A/B", 1000, senders)
    got = [drain(r, sent // 2) for r in receivers]
    assert [len(g) for g in got] == [sent // 2] * 2
    assert e.counts("A/B")["egress_allowed"] == sent // 2
    e.attach("A/B", "")
    e.attach("A", "deny multi")
    sent = churn(e, "A/B", 1000, senders)
    assert [drain(r) for r in receivers] == [[], []]
    wait_for(lambda: e.counts("A/B")["egress_dropped"] == sent // 2, "the drops")
    assert e.counts("A/B/D/E")["egress_dropped"] == sent // 2
    for s in receivers + [s for s, _ in senders]:
        s.close()


@pytest.mark.parametrize("mode", ["fail-open", "fail-closed"])
def test_kill(cold_e, mode):
    """B: kill -9 under traffic; afterwards the attachments are effective again."""
    cold_e.mode = "enforce=" + mode
    e = started(cold_e)
    e.load("cgroup_verdicts")
    e.tree()
    e.attach("A/B", "deny")
    e.attach("A/B/D", "allow")
    senders = {name: e.sock(name) for name in TREE}
    allowed = ["A", "A/B/D", "A/B/D/E"]
    assert arrived(e, senders, socket.AF_INET) == allowed
    dirs = e.host_dirs()
    assert len(dirs) == 1 + len(TREE) and host_name(e.state) in e.rules()
    e.kill()
    assert e.rules() != ""
    assert arrived(e, senders, socket.AF_INET) == (sorted(TREE) if mode == "fail-open" else [])
    started(e)
    assert e.host_dirs() == dirs  # adopted: the sockets are still in them
    assert arrived(e, senders, socket.AF_INET) == allowed
    assert e.rules().count("table") == 1
    for s in senders.values():
        s.close()


def test_stale_directories(e):
    """D: what a killed server made and its state no longer knows goes; what somebody else made stays."""
    e.tree()
    base = e.host_base()
    foreign = os.path.join(base, "A/B/C/foreign")
    os.mkdir(foreign)
    e.fails("rmdir $M/cgroup/A/B/C", "busy")
    e.kill()
    os.rmdir(os.path.join(e.state, "tree/cgroup/A/B/D/E"))
    started(e)
    assert not os.path.exists(os.path.join(base, "A/B/D/E")) and os.path.isdir(os.path.join(base, "A/B/D"))
    assert os.path.isdir(foreign)
    os.rmdir(foreign)


def test_procs(e):
    """E: who may move whom; forks follow; a cgroup with processes is busy."""
    os.mkdir(e.p("cgroup", "A"))
    sleeper = subprocess.Popen(["sh", "-c", "sleep 100 & sleep 100"])
    mine = subprocess.Popen(["sleep", "100"], user=USERS[0], group=USERS[0], extra_groups=[])
    try:
        e.sh("echo %d > $M/cgroup/A/cgroup.procs" % sleeper.pid)
        assert str(sleeper.pid) in e.read("cgroup", "A", "cgroup.procs").split()
        after = e.out("(echo 0 > $M/cgroup/A/cgroup.procs; cat /proc/self/cgroup; exec cat $M/cgroup/A/cgroup.procs)")
        assert "/A\n" in after
        e.fails("rmdir $M/cgroup/A", "busy")
        assert "processes" in e.log()
        os.chmod(e.p("cgroup", "A"), 0o777)  # the files follow: the bits are not what refuses
        # Not theirs, and theirs.
        e.fails("echo %d > $M/cgroup/A/cgroup.procs" % sleeper.pid, "not permitted", user=USERS[0])
        assert "not yours" in e.sh("cat $M/log", user=USERS[0]).stdout
        e.fails("echo %d > $M/cgroup/A/cgroup.procs" % mine.pid, "not permitted", user=USERS[1])
        e.sh("echo %d > $M/cgroup/A/cgroup.procs" % mine.pid, user=USERS[0])
        # Another pid namespace: its numbers mean others here.
        e.fails("unshare -p -f --mount-proc bash -c 'echo 1 > $M/cgroup/A/cgroup.procs'", "not permitted")
        for text, message in (("x", "Invalid"), ("-3", "Invalid"), ("999999999", "No such process"),
                              ("1 2", "Invalid")):
            e.fails("echo '%s' > $M/cgroup/A/cgroup.procs" % text, message)
    finally:
        for p in (sleeper, mine):
            subprocess.run(["pkill", "-P", str(p.pid)])
            p.kill()
            p.wait()
    wait_for(lambda: e.read("cgroup", "A", "cgroup.procs") == "", "the processes to end")
    e.sh("rmdir $M/cgroup/A")
    e.fails("mkdir $M/cgroup/cgroup.threads", "Invalid")


def test_without_enforce(m):
    m.sh("mkdir $M/cgroup/A")
    m.fails("echo 0 > $M/cgroup/A/cgroup.procs", "not supported")
    assert "-o enforce" in m.log()
    assert m.read("cgroup", "A", "cgroup.procs") == ""


def test_processes_at_the_end(cold_e):
    """D: processes that are still there go up, and live on."""
    e = started(cold_e)
    e.sh("mkdir $M/cgroup/A")
    sleeper = subprocess.Popen(["sleep", "100"])
    try:
        before = open("/proc/%d/cgroup" % sleeper.pid).read()
        e.sh("echo %d > $M/cgroup/A/cgroup.procs" % sleeper.pid)
        assert open("/proc/%d/cgroup" % sleeper.pid).read() != before
        e.umount()
        assert sleeper.poll() is None
        assert open("/proc/%d/cgroup" % sleeper.pid).read() == before
    finally:
        sleeper.kill()
        sleeper.wait()


def test_delegated(holder, dev_fuse):
    """An ordinary user in a user and network namespace, with a cgroup directory that is his."""
    base = make_base("/tmp")
    os.chown(base, USERS[0], USERS[0])
    cgroup = os.path.join(cgroup2(), "ubpffs-test-%d" % os.getpid())
    os.mkdir(cgroup)
    script = """
set -e
ip link set lo up
mkdir m
%s -f -o state=$PWD/state,enforce,enforce_cgroup=%s m & server=$!
for i in $(seq 200); do [ -e m/version ] && break; sleep 0.05; done
cat %s/cgroup_verdicts.bpf.o > m/progs/new
mkdir m/cgroup/A
(echo 0 > m/cgroup/A/cgroup.procs; ping -q -c 1 127.0.0.1 && ping -q -c 1 ::1) >/dev/null
echo deny > m/cgroup/A/egress.attach
(echo 0 > m/cgroup/A/cgroup.procs; ! ping -q -c 1 -W 1 127.0.0.1) >/dev/null
cat m/cgroup/A/stats
umount m || fusermount3 -u m
wait $server
nft list tables
""" % (os.path.join(os.path.dirname(os.path.dirname(PROGS)), "ubpffs"), cgroup, PROGS)
    try:
        for name in ("", "cgroup.procs"):
            os.chown(os.path.join(cgroup, name), USERS[0], USERS[0])
        join = "echo $$ > %s/cgroup.procs; exec setpriv --reuid %d --regid %d --clear-groups " \
               "unshare -Urnm sh -c \"$0\"" % (cgroup, USERS[0], USERS[0])
        r = subprocess.run(["sh", "-c", join, script], cwd=base, capture_output=True, text=True,
                           timeout=WAIT * 3, env=dict(os.environ, HOME=base))
        if "unshare failed" in r.stderr or "uid_map" in r.stderr:
            pytest.skip("no user namespaces for ordinary users: " + r.stderr)
        assert r.returncode == 0, r.stdout + r.stderr
        assert "egress_allowed: 2\negress_dropped: 1" in r.stdout, r.stdout + r.stderr
        assert "table" not in r.stdout
        assert [d for d in os.listdir(cgroup) if d.startswith("ubpffs-")] == []
    finally:
        wait_for(lambda: open(os.path.join(cgroup, "cgroup.procs")).read() == "", "the user's processes")
        os.rmdir(cgroup)
        shutil.rmtree(base, ignore_errors=True)
