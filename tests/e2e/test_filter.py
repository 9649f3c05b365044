"""Classic filters: tcpdump -ddd into progs/new, ubpfctl filter, real frames through them, a restart."""
import errno
import os
import random
import struct
import subprocess

import pytest

from conftest import BUILD, USERS

CTL = os.path.join(BUILD, "ubpfctl")
EXPRESSIONS = [
    "ip", "ip6", "arp", "tcp", "udp port 53", "tcp port 80", "host 10.0.0.1", "net 10.0.0.0/24",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "greater 200", "less 100", "ip[8] < 10", "icmp or icmp6",
    "ether host 02:00:00:00:00:01", "vlan 5 and ip", "not ip", "tcp[12] >> 4 > 5", "port 443 or port 53",
]


def checksumless_ip(proto, src, dst, payload, ttl=64, frag=0, options=b""):
    ihl = 5 + len(options) // 4
    return struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, 0, ihl * 4 + len(payload), 1, frag, ttl, proto, 0,
                       bytes(map(int, src.split("."))), bytes(map(int, dst.split(".")))) + options + payload


def frames(count=300):
    """Frames of many kinds, some cut short."""
    rnd = random.Random(4)
    macs = [bytes.fromhex("02000000000%d" % i) for i in range(4)] + [b"\xff" * 6]
    result = []
    for _ in range(count):
        src = "10.0.%d.%d" % (rnd.randrange(2), rnd.randrange(4))
        ports = struct.pack("!HH", rnd.choice([53, 80, 443, 1234]), rnd.choice([53, 80, 443, 40000]))
        payload = rnd.randbytes(rnd.randrange(300))
        tcp = ports + rnd.randbytes(8) + bytes([rnd.choice([0x50, 0x60, 0x80]), rnd.choice([2, 16, 17, 24])]) + \
            rnd.randbytes(6) + payload
        udp = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
        kind = rnd.choice(["tcp", "udp", "icmp", "frag", "options", "ip6", "arp", "vlan", "other"])
        proto = 0x0800
        if kind == "ip6":
            proto = 0x86dd
            body = struct.pack("!IHBB", 6 << 28, len(udp), rnd.choice([17, 58]), 64) + rnd.randbytes(32) + udp
        elif kind == "arp":
            proto, body = 0x0806, rnd.randbytes(28)
        elif kind == "other":
            proto, body = rnd.choice([0x1234, 0x88cc, 60]), payload
        else:
            body = checksumless_ip({"tcp": 6, "options": 6, "icmp": 1}.get(kind, 17), src, "10.0.0.%d" % rnd.randrange(3),
                                   {"tcp": tcp, "options": tcp}.get(kind, udp), rnd.choice([1, 9, 10, 64]),
                                   rnd.randrange(1, 100) if kind == "frag" else 0,
                                   b"\x01" * 8 if kind == "options" else b"")
        header = rnd.choice(macs) + rnd.choice(macs)
        if kind == "vlan":
            header += struct.pack("!HH", 0x8100, rnd.choice([5, 6]))
        frame = header + struct.pack("!H", proto) + body
        result.append(frame[:rnd.randrange(14, len(frame) + 1)] if rnd.random() < .1 else frame)
    return result


@pytest.fixture
def pcap(m):
    path = os.path.join(m.base, "frames.pcap")
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        for i, frame in enumerate(frames()):
            f.write(struct.pack("<IIII", i, 0, len(frame), len(frame)) + frame)
    return path


def ddd(expression):
    return subprocess.run(["tcpdump", "-ddd", "-y", "EN10MB", expression], capture_output=True, check=True).stdout


def matches(pcap, expression):
    """What tcpdump itself finds in the file."""
    r = subprocess.run(["tcpdump", "--count", "-nr", pcap, expression], capture_output=True, text=True, check=True)
    return int(r.stdout.split()[0])


def ran(m, name, pcap):
    """{return value: packets} of one pass over the file."""
    text = m.out(f"{CTL} -m $M push {name} {pcap}")
    assert "skipped" not in text, text
    return {int(line.split()[1][:-1]): int(line.split()[2]) for line in text.splitlines() if line.startswith("retval")}


def write_in(m, text, step):
    """Returns the errno of each write, and of the close."""
    fd = os.open(m.p("progs", "new"), os.O_WRONLY)
    results = []
    for i in range(0, len(text), step):
        try:
            os.write(fd, text[i:i + step])
            results.append(0)
        except OSError as e:
            results.append(e.errno)
    try:
        os.close(fd)
    except OSError as e:
        return results, e.errno
    return results, 0


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_tcpdump_text_in_any_pieces(m, pcap, step):
    text = ddd("tcp port 80")
    results, closed = write_in(m, text, step)
    assert set(results) == {0} and closed == 0
    (name,), maps = m.names()
    info = m.info("progs", name, "info")
    assert name == "filter" + info["id"] and maps == []
    assert info["type"] == "socket_filter" and int(info["classic_insns"]) == text.count(b"\n") - 1
    found = matches(pcap, "tcp port 80")
    assert 0 < found < 300
    assert ran(m, name, pcap) == {262144: found, 0: 300 - found}
    assert "verdict: loaded" in m.read("progs", "log")


@pytest.mark.parametrize("user", [None, USERS[0]])
def test_shells_write_it(m, shell, user):
    m.sh("tcpdump -ddd -y EN10MB udp 2>/dev/null | cat > $M/progs/new", shell=shell, user=user)
    m.sh("{ echo '# web'; tcpdump -ddd -y EN10MB tcp port 80 2>/dev/null; } > $M/progs/new", shell=shell, user=user)
    names = m.names()[0]
    assert len(names) == 2 and "web" in names
    assert os.stat(m.p("progs", "web", "prog")).st_uid == (user or os.geteuid())


def test_every_expression_agrees_with_tcpdump(m, pcap):
    for i, expression in enumerate(EXPRESSIONS):
        m.sh(f"{CTL} -m $M filter f{i} '{expression}'")
        found = matches(pcap, expression)
        want = {k: v for k, v in {262144: found, 0: 300 - found}.items() if v}
        assert ran(m, f"f{i}", pcap) == want, expression
    assert len(m.names()[0]) == len(EXPRESSIONS)


def test_filter_prints_what_tcpdump_does(m):
    for expression in EXPRESSIONS:
        text = m.out(f"{CTL} filter -d x '{expression}'")
        assert text == "# x\n" + ddd(expression).decode()


def test_filter_says_what_is_wrong(m):
    assert "syntax error" in m.fails(f"{CTL} -m $M filter x 'tcp prt 80'", "tcp prt 80").stderr
    m.sh(f"{CTL} -m $M filter x tcp port 80")  # words need no quotes
    m.fails(f"{CTL} -m $M filter x udp", "File exists")
    m.fails(f"{CTL} -m $M filter new udp", "File exists")
    m.fails(f"{CTL} -m $M filter a/b udp", "Invalid argument")
    assert m.names() == (["x"], [])


@pytest.mark.parametrize("text, why", [
    (b"1\n6 0 0 x\n", "line 2"),
    (b"0\n", "1 to 4096"),
    (b"4097\n", "1 to 4096"),
    (b"2\n6 0 0\n", "four numbers"),
    (b"1\n6 0 0 0 0\n", "four numbers"),
    (b"1\n6 256 0 0\n", "four numbers"),
    (b"1\n6 0 0 4294967296\n", "four numbers"),
    (b"1\n6 0 0 -1\n", "four numbers"),
    (b"# two words\n1\n6 0 0 0\n", "no spaces"),
    (b"1\n0 0 0 1\n", "must be RET"),
    (b"2\n96 0 0 3\n6 0 0 0\n", "instruction 0: reads a word of M[]"),
    (b"9" * 1000, "too long"),
])
def test_wrong_text(m, text, why):
    results, _ = write_in(m, text, 1 << 20)
    assert results == [errno.EINVAL]
    assert why in m.log() and why in m.read("progs", "log")
    results, closed = write_in(m, text, 1)
    assert errno.EINVAL in results and closed == 0
    assert set(results[results.index(errno.EINVAL):]) == {errno.EINVAL}  # it stays
    assert m.names() == ([], [])


def test_unfinished_text(m):
    results, closed = write_in(m, ddd("tcp")[:-1], 1 << 20)
    assert results == [0] and closed == errno.EINVAL
    assert "ends with a newline" in m.log()
    assert m.names() == ([], [])


def test_restart_brings_it_back(m, pcap):
    m.sh(f"{CTL} -m $M filter web tcp port 80")
    # What needs more than the packet: its payload's offset, the device, a random number.
    m.sh("printf '# payload\\n2\\n32 0 0 4294963252\\n22 0 0 0\\n' > $M/progs/new")
    m.sh("ln $M/progs/web/prog $M/pinned")
    xlated, before = m.read("progs", "payload", "xlated"), ran(m, "web", pcap)
    offsets = ran(m, "payload", pcap)
    assert "skb_get_pay_offset" in xlated and len(offsets) > 3
    for kill in True, False:
        m.restart(kill=kill)
        assert m.names() == (["payload", "web"], [])
        assert ran(m, "web", pcap) == before and ran(m, "payload", pcap) == offsets
        assert m.read("progs", "payload", "xlated") == xlated
        assert m.info("progs", "web", "info")["classic_insns"] == "20"
    m.sh("rmdir $M/progs/web; rm $M/pinned; rmdir $M/progs/payload")
    m.wait_live(0, 0)
