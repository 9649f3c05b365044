"""
-o enforce: the programs of M/cgroup decide over the packets of real sockets, in a network namespace of the test.

A socket belongs to the cgroup and the network namespace of the process that made it, whoever holds it later: short-lived
children make them and pass them to the test, which then plays all the parts. Letters are fs/enforce/enforce.h's.
"""
import ctypes
import json
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

from bpf2 import BPFTOOL, can_run, tool
from conftest import PROGS, SLOW, USERS, WAIT, Mount, as_user, die_with_us, make_base, make_mount, wait_for

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

# A client or a server of its own, in a cgroup; it goes on until its standard input ends, then says what it did.
# Its first line comes when it is at work: the port of a server, or the first BEGUN rounds of a client.
#   serve    answers: a line of TCP with REPLY bytes that depend on it, a datagram with itself
#   ask      asks a server again and again, a connection a question; every answer must come, and be right
#   knock    sends to a port, or opens connections, as fast as it can, and awaits nothing
#   listen   counts what reaches it
LOADER = """
import os, select, socket, sys, time
role, family, kind, port, procs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
if procs:
    with open(procs, "w") as f:
        f.write("0")
REPLY = 30000
WAIT = float(sys.argv[6])
BEGUN = 21
local = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[family]
tcp = kind == socket.SOCK_STREAM

def ended():
    return bool(select.select([0], [], [], 0)[0])

def new():
    s = socket.socket(family, kind)
    s.settimeout(WAIT)
    return s

def count(n):
    if n + 1 == BEGUN:
        print(BEGUN, flush=True)
    return n + 1

def reply(line):
    return (line * (REPLY // len(line) + 1))[:REPLY]

def bound():
    s = new()
    s.bind((local, 0))
    if tcp:
        s.listen(1000)
    print(s.getsockname()[1], flush=True)
    return s

def serve():
    s, n = bound(), 0
    while True:
        ready = select.select([s, 0], [], [])[0]
        if 0 in ready:
            return n
        if tcp:
            c = s.accept()[0]
            c.settimeout(WAIT)
            c.sendall(reply(c.makefile("rb").readline()))
            c.close()
        else:
            s.sendto(*s.recvfrom(1 << 16))
        n += 1

def ask():
    n = 0
    udp = None if tcp else new()
    while not ended():
        line = b"question %d\\n" % n
        if tcp:
            with new() as s:
                s.connect((local, port))
                s.sendall(line)
                got = b""
                while True:
                    part = s.recv(1 << 16)
                    if not part:
                        break
                    got += part
            assert got == reply(line), len(got)
        else:
            udp.sendto(line, (local, port))
            assert udp.recv(1 << 16) == line
        n = count(n)
    return n

def knock():
    n, kept = 0, []
    udp = None if tcp else new()
    while not ended():
        if tcp:
            s = new()
            s.setblocking(False)
            s.connect_ex((local, port))
            kept.append(s)
            if len(kept) > 100:
                kept.pop(0).close()
        else:
            try:
                udp.sendto(b"knock", (local, port))
            except PermissionError:  # a server that starts again with fail-closed
                pass
            if n % 100 == 99:
                time.sleep(0.001)  # the queue is no sponge
        n = count(n)
    return n

def listen():
    s, n = bound(), 0
    s.setblocking(False)
    while True:
        ready = select.select([s, 0], [], [])[0]
        if s in ready:
            try:
                s.accept() if tcp else s.recv(100)
                n += 1
            except OSError:
                pass
        elif ready:
            return n

print(globals()[role](), flush=True)
"""
SERVICES = [(family, kind) for family in (socket.AF_INET, socket.AF_INET6)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]


BOTH = ("egress", "ingress")


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
        self.loaders = []
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

    def loader(self, role, cgroup, family, kind, port=0):
        """A process of LOADER that is at work."""
        procs = self.p("cgroup", cgroup, "cgroup.procs") if cgroup is not None else ""
        p = subprocess.Popen(self.net + [PY, "-c", LOADER, role, str(int(family)), str(int(kind)), str(port), procs,
                                         str(WAIT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             preexec_fn=die_with_us)
        self.loaders.append(p)
        first = int(p.stdout.readline())
        if role in ("serve", "listen"):
            p.port = first
        return p

    def end_loaders(self):
        for p in self.loaders:
            p.kill()
            p.wait()
        self.loaders.clear()

    def queue_drops(self):
        """Packets that the kernel dropped because a queue or its socket was full."""
        lines = self.ns("cat /proc/net/netfilter/nfnetlink_queue").splitlines()
        assert lines
        return sum(int(line.split()[5]) + int(line.split()[6]) for line in lines)

    def ns(self, script, **kwargs):
        return subprocess.run(self.net + ["sh", "-ec", script], capture_output=True, text=True, check=True,
                              timeout=WAIT, **kwargs).stdout

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
    mount.end_loaders()
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


def expect_out(e, senders, family, allowed):
    """From these cgroups packets get out, and from no others."""
    r = e.receiver(None, family)
    for name, s in senders.items():
        s.sendto(name.encode(), r.getsockname()[:2])
    got = drain(r, len(allowed))
    r.close()
    assert sorted(g.decode() for g in got) == sorted(allowed)


def expect_in(e, cgroups, family, allowed):
    """To these cgroups packets get in, and to no others."""
    out = e.sock(None, family)
    receivers = {name: e.receiver(name, family) for name in cgroups}
    for r in receivers.values():
        out.sendto(b"x", r.getsockname()[:2])
    for name in allowed:
        assert select.select([receivers[name]], [], [], WAIT)[0], name
    time.sleep(QUIET)
    got = sorted(name for name, r in receivers.items() if select.select([r], [], [], 0)[0])
    for s in [out] + list(receivers.values()):
        s.close()
    assert got == sorted(allowed)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_seed_example(e, family):
    """A: B - C, D - E below B; one on B is effective for all four, one on D takes over there and gives back."""
    e.tree()
    senders = {name: e.sock(name, family) for name in TREE}

    rounds = 0

    def expect(allowed):
        nonlocal rounds
        expect_out(e, senders, family, allowed)
        expect_in(e, TREE, family, allowed)
        rounds += 1  # what is decided late is decided, too
        wait_for(lambda: all(c[d + "_allowed"] + c[d + "_dropped"] == rounds for c in map(e.counts, TREE) for d in BOTH),
                 "the drops")

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
    # Counted where it happened: six rounds.
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


def test_marks(e):
    """What a program writes into mark and priority goes on with the packet."""
    e.load("cgroup_marks")
    os.mkdir(e.p("cgroup", "A"))
    e.attach("A", "set_mark")
    e.ns("""
nft add table inet foreign
nft add chain inet foreign after '{ type filter hook postrouting priority 0; }'
nft add rule inet foreign after meta mark 55 counter
nft add rule inet foreign after meta priority 1:2 counter
""")
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            inner, outer = e.sock("A", family), e.receiver(None, family)
            for _ in range(5):
                inner.sendto(b"x", outer.getsockname()[:2])
            assert len(drain(outer, 5)) == 5
            inner.close()
            outer.close()
        assert e.ns("nft list table inet foreign").count("packets 10 ") == 2
    finally:
        e.ns("nft delete table inet foreign")


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
    wait_for(lambda: e.counts("A")["ingress_dropped"] > 0 and e.counts("A")["ingress_allowed"] > 20, "the counts")
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
    wait_for(lambda: e.counts("A")["egress_dropped"] > 0, "the drop")
    assert e.counts("A")["egress_allowed"] == 0
    e.attach("A", "allow")
    client = e.sock(None, family, socket.SOCK_STREAM)
    client.connect(to)
    wait_for(lambda: e.counts("A")["egress_allowed"] > 0, "the count")
    # Below, in a directory that somebody else made: the same programs.
    foreign = os.path.join(e.host_base(), "A", "foreign")
    os.mkdir(foreign)
    script = MAKE_SOCKET.replace('f.write("0")', 'f.write(str(os.getpid()))')
    ours, theirs = socket.socketpair()
    subprocess.run(e.net + [PY, "-c", script, str(int(listen)), str(int(socket.SOCK_STREAM)), foreign + "/cgroup.procs"],
                   stdin=theirs, check=True, timeout=WAIT)
    below = socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0])
    below.bind(("::" if listen == socket.AF_INET6 else LOCAL[listen], 0))
    below.listen()
    e.attach("A", "deny")
    dropped = e.counts("A")["egress_dropped"]
    third = e.sock(None, family, socket.SOCK_STREAM)
    third.settimeout(0.7)
    with pytest.raises(socket.timeout):
        third.connect((LOCAL[family], below.getsockname()[1]))
    wait_for(lambda: e.counts("A")["egress_dropped"] > dropped, "the drop")
    for s in (third, below, ours, theirs):
        s.close()
    os.rmdir(foreign)
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
    wait_for(lambda: e.counts("A/B")["egress_allowed"] == sent // 2, "the counts")
    e.attach("A/B", "")
    e.attach("A", "deny multi")
    sent = churn(e, "A/B", 1000, senders)
    assert [drain(r) for r in receivers] == [[], []]
    wait_for(lambda: e.counts("A/B")["egress_dropped"] == sent // 2, "the drops")
    assert e.counts("A/B/D/E")["egress_dropped"] == sent // 2
    for s in receivers + [s for s, _ in senders]:
        s.close()


def stop(loader):
    """What it counted; a client that missed an answer has failed."""
    out, _ = loader.communicate("", timeout=WAIT)
    assert loader.returncode == 0
    return int(out)


def replace(e, places, words, times):
    """Attach one program after the other, `times` times at each of these (cgroup, direction)."""
    fds = [os.open(e.p("cgroup", cgroup, direction + ".attach"), os.O_WRONLY) for cgroup, direction in places]
    for i in range(times):
        for fd in fds:
            os.write(fd, words[i % len(words)])
    for fd in fds:
        os.close(fd)


def test_replace_under_allow(e):
    """A: clients and servers in two cgroups, TCP and UDP, IPv4 and IPv6: every question of theirs is answered while
    the programs of both, in both directions, and the one above them are replaced 1,000 times each."""
    for name in ("A", "A/client", "A/server"):
        os.mkdir(e.p("cgroup", name))
    places = [(cgroup, direction) for cgroup in ("A/client", "A/server") for direction in BOTH]
    for cgroup, direction in places:
        e.attach(cgroup, "allow", direction)
    servers = [e.loader("serve", "A/server", *s) for s in SERVICES]
    clients = [e.loader("ask", "A/client", *s, server.port) for s, server in zip(SERVICES, servers)]
    wait_for(lambda: e.counts("A/client")["egress_allowed"] > 100, "questions")
    before = e.counts("A/client")["egress_allowed"]
    replace(e, places, (b"allow2\n", b"allow\n"), 1000)
    for direction in BOTH:
        e.attach("A", "allow multi", direction)
    replace(e, [("A", d) for d in BOTH], (b"allow2 multi replace allow\n", b"allow multi replace allow2\n"), 1000)
    assert e.counts("A/client")["egress_allowed"] > before + 100  # there was load
    asked = [stop(c) for c in clients]
    answered = [stop(s) for s in servers]
    assert asked == answered and min(asked) > 20
    for cgroup in ("A/client", "A/server"):
        c = e.counts(cgroup)
        assert c["egress_dropped"] == c["ingress_dropped"] == 0
        assert min(c["egress_allowed"], c["ingress_allowed"]) > sum(asked)
    assert e.queue_drops() == 0


def test_a_program_that_never_ends(e):
    """It is stopped for good and drops; others' packets wait for it once, and not for ever."""
    for name in ("A", "B"):
        os.mkdir(e.p("cgroup", name))
    e.load("endless")
    e.attach("B", "allow", "egress")
    e.attach("A", "endless_egress", "egress")
    senders = {name: e.sock(name, socket.AF_INET) for name in ("A", "B")}
    expect_out(e, senders, socket.AF_INET, ["A", "B"])  # it ends as long as it is told so
    e.sh("echo 1 > $M/maps/go/entries/0")
    for _ in range(3):
        expect_out(e, senders, socket.AF_INET, ["B"])
    assert e.info("progs", "endless_egress", "info")["stopped_by_fault"] != "0"
    e.attach("A", "allow", "egress")
    expect_out(e, senders, socket.AF_INET, ["A", "B"])
    for s in senders.values():
        s.close()


@pytest.mark.parametrize("direction", BOTH)
def test_replace_under_drop(e, direction):
    """A: nothing leaves (or enters) the cgroup, of TCP and UDP, IPv4 and IPv6, while what drops is replaced by another
    that drops, and, below one that drops, what allows is replaced, 1,000 times each."""
    inside, outside = "A/inside", None
    for name in ("A", "A/inside"):
        os.mkdir(e.p("cgroup", name))
    e.attach("A/inside", "deny", direction)
    here, there = (inside, outside) if direction == "egress" else (outside, inside)
    listeners = [e.loader("listen", there, *s) for s in SERVICES]
    knockers = [e.loader("knock", here, *s, listener.port) for s, listener in zip(SERVICES, listeners)]
    dropped = direction + "_dropped"
    wait_for(lambda: e.counts("A/inside")[dropped] > 200, "knocks")
    first = e.counts("A/inside")[dropped]
    replace(e, [("A/inside", direction)], (b"deny2\n", b"deny\n"), 1000)
    e.attach("A", "deny multi", direction)
    replace(e, [("A/inside", direction)], (b"allow\n", b"allow2\n"), 1000)
    assert e.counts("A/inside")[dropped] > first + 100
    assert min(stop(k) for k in knockers) > 20
    assert [stop(listener) for listener in listeners] == [0] * len(SERVICES)
    assert e.counts("A/inside")[direction + "_allowed"] == 0


FOREIGN = """
nft add table inet foreign
nft add chain inet foreign output '{ type filter hook output priority 0; }'
nft add rule inet foreign output udp dport 9 counter drop
nft add table ip other
"""


@pytest.mark.parametrize("mode", ["fail-open", "fail-closed"])
def test_kill_under_traffic(cold_e, mode):
    """B, D: packets go on or stop with the server; what somebody else made is never touched."""
    cold_e.mode = "enforce=" + mode
    cold_e.ns(FOREIGN)
    rules = cold_e.ns("nft list ruleset")
    foreign = os.path.join(cgroup2(), "ubpffs-foreign-%d" % os.getpid())
    inside = os.path.join(cold_e.host_base(), "A", "foreign")
    os.makedirs(os.path.join(foreign, "A"))
    e = cold_e
    try:
        started(e)
        e.load("cgroup_verdicts")
        e.tree()
        os.mkdir(inside)
        e.fails("mkdir $M/cgroup/A/foreign", "File exists")
        assert "somebody else" in e.log()
        e.attach("A/B", "allow")
        e.attach("A/B/D", "deny")
        receiver, silent = e.loader("listen", None, socket.AF_INET, socket.SOCK_DGRAM), e.receiver()
        allowed = e.loader("knock", "A/B/C", socket.AF_INET, socket.SOCK_DGRAM, receiver.port)
        denied = e.loader("knock", "A/B/D/E", socket.AF_INET, socket.SOCK_DGRAM, silent.getsockname()[1])

        def leaks(seconds):
            return bool(select.select([silent], [], [], seconds)[0])

        def received():
            """Datagrams that were read from IPv4 sockets of the namespace."""
            text = e.ns("cat /proc/net/snmp").split("Udp:")[2]
            return int(text.split()[0])

        def flows():
            before = received()
            wait_for(lambda: received() > before + 10, "packets")

        def stands():
            before = received()
            time.sleep(QUIET)
            return received() == before
        wait_for(lambda: e.counts("A/B/C")["egress_allowed"] > 100 and e.counts("A/B/D/E")["egress_dropped"] > 100,
                 "traffic")
        flows()
        assert not leaks(0)
        e.kill()
        if mode == "fail-open":
            flows()
            assert leaks(WAIT)
        else:
            wait_for(stands, "what was on its way")
            assert stands() and not leaks(0)
        started(e)
        wait_for(lambda: e.counts("A/B/C")["egress_allowed"] > 100 and e.counts("A/B/D/E")["egress_dropped"] > 100,
                 "traffic after the restart")
        assert e.counts("A/B/C")["egress_dropped"] == e.counts("A/B/D/E")["egress_allowed"] == 0
        flows()
        for knocker in (allowed, denied):
            assert stop(knocker) > 200
        assert leaks(0) == (mode == "fail-open")
        silent.close()
        assert stop(receiver) > 20
        e.umount()
        assert e.ns("nft list ruleset") == rules
        assert os.path.isdir(os.path.join(foreign, "A")) and os.path.isdir(inside)
    finally:
        e.end_loaders()
        e.ns("nft delete table inet foreign; nft delete table ip other")
        if e.proc is None:
            for d in (inside, os.path.dirname(inside), e.host_base()):
                if os.path.isdir(d):
                    os.rmdir(d)
        for d in (os.path.join(foreign, "A"), foreign):
            os.rmdir(d)


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
    expect_out(e, senders, socket.AF_INET, allowed)
    dirs = e.host_dirs()
    assert len(dirs) == 1 + len(TREE) and host_name(e.state) in e.rules()
    e.kill()
    assert e.rules() != ""
    expect_out(e, senders, socket.AF_INET, TREE if mode == "fail-open" else [])
    started(e)
    assert e.host_dirs() == dirs  # adopted: the sockets are still in them
    expect_out(e, senders, socket.AF_INET, allowed)
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
    shutil.rmtree(os.path.join(e.state, "tree/cgroup/A/B/D/E"))
    started(e)
    assert not os.path.exists(os.path.join(base, "A/B/D/E")) and os.path.isdir(os.path.join(base, "A/B/D"))
    assert os.path.isdir(foreign)
    os.rmdir(foreign)


def test_procs(e):
    """E: who may move whom; forks follow; a cgroup with processes is busy."""
    os.mkdir(e.p("cgroup", "A"))
    sleeper = subprocess.Popen(["sh", "-c", "sleep 100 & sleep 100"], start_new_session=True)
    mine = subprocess.Popen(["sleep", "100"], **as_user(USERS[0]))
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
        os.killpg(sleeper.pid, signal.SIGKILL)  # its children too, whenever it makes them
        for p in (sleeper, mine):
            p.kill()
            p.wait()
    wait_for(lambda: e.read("cgroup", "A", "cgroup.procs") == "", "the processes to end")
    e.sh("rmdir $M/cgroup/A")
    e.fails("mkdir $M/cgroup/cgroup.threads", "Invalid")


def test_bpf2_on_the_twins(e):
    """Under `ubpfctl run` a twin on the host is its cgroup for bpf(2); other directories of the host are none."""
    can_run(e)
    if not BPFTOOL:
        pytest.skip("no bpftool here")
    e.tree()
    assert tool(e, "prog", "loadall", os.path.join(PROGS, "cgroup_filter.bpf.o"), e.p("f")).returncode == 0
    twin = os.path.join(e.host_base(), "A", "B")
    attach = ["ingress", "pinned", e.p("f/filter_in")]
    r = tool(e, "cgroup", "attach", twin, *attach)
    assert r.returncode == 0, r.stderr
    assert e.read("cgroup", "A", "B", "ingress.attach").split()[-1] == "exclusive"
    assert "filter_in" in tool(e, "cgroup", "show", twin).stdout
    assert json.loads(tool(e, "-j", "cgroup", "tree", e.host_base()).stdout)[0]["cgroup"] == twin
    assert tool(e, "cgroup", "attach", cgroup2(), *attach).returncode != 0
    assert tool(e, "cgroup", "detach", twin, *attach).returncode == 0
    assert e.read("cgroup", "A", "B", "ingress.attach") == ""


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
for i in $(seq %d); do [ -e m/version ] && break; sleep 0.05; done
cat %s/cgroup_verdicts.bpf.o > m/progs/new
mkdir m/cgroup/A
(echo 0 > m/cgroup/A/cgroup.procs; ping -q -c 1 127.0.0.1 && ping -q -c 1 ::1) >/dev/null
echo deny > m/cgroup/A/egress.attach
(echo 0 > m/cgroup/A/cgroup.procs; ! ping -q -c 1 -W 1 127.0.0.1) >/dev/null
for i in $(seq %d); do grep -q "egress_dropped: 1" m/cgroup/A/stats && break; sleep 0.05; done
cat m/cgroup/A/stats
umount m || fusermount3 -u m
wait $server
nft list tables
""" % (os.path.join(os.path.dirname(os.path.dirname(PROGS)), "ubpffs"), cgroup, 20 * WAIT, PROGS, 20 * WAIT)
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
