"""progs/<prog>/run: a transaction on one open; and what programs print."""
import errno
import os
import re
import select
import signal
import struct
import subprocess
import threading
import time

import pytest

from conftest import PROGS, USERS, WAIT, wait_for

A, B = USERS

# Ethernet + IPv4 + UDP, TTL 64, to port 53
PACKET = bytes.fromhex("020000000001" "020000000002" "0800"
                       "4500002000000000" "4011" "66cb" "7f000001" "7f000001"
                       "d43100350 00cfe1f".replace(" ", "") + "61626364")


# A socket filter sees the packet behind its Ethernet header, which the test run gives back as zeros, as Linux does.
SOCKET_OUT = bytes(14) + PACKET[14:]


def report(text):
    lines = text.splitlines()
    assert [line.split(":")[0] for line in lines] == ["retval", "duration_ns", "data_out"], text
    assert text.endswith("\n")
    values = dict(line.split(": ", 1) for line in lines)
    return int(values["retval"]), int(values["duration_ns"]), bytes.fromhex(values["data_out"])


@pytest.fixture
def loaded(m):
    m.load("count_ports")
    m.load("xdp_rewrite")
    with open(os.path.join(m.base, "pkt"), "wb") as f:
        f.write(PACKET)
    return m


def counts(m):
    return m.read("maps", "by_proto", "entries", "17").strip()


def test_write_then_read_on_one_descriptor(loaded, shell):
    m = loaded
    text = m.out("exec 3<>$M/progs/xdp_rewrite/run; cat $T/pkt >&3; cat <&3", shell=shell)
    retval, _, data = report(text)
    assert retval == 3  # XDP_TX
    assert data[:6] == PACKET[6:12] and data[6:12] == PACKET[:6]
    assert data[22] == PACKET[22] - 1 and data[26:] == PACKET[26:]


def test_write_then_fresh_open(loaded, shell):
    m = loaded
    for _ in range(20):
        text = m.out("cat $T/pkt > $M/progs/xdp_rewrite/run; cat $M/progs/xdp_rewrite/run", shell=shell)
        assert report(text)[0] == 3
    assert m.metrics()["runs"] == 20


def test_run_once_a_transaction(loaded, shell):
    m = loaded
    m.sh("exec 3<>$M/progs/count_ports/run; cat $T/pkt >&3; cat <&3; cat <&3; exec 3>&-; cat $M/progs/count_ports/run; "
         "cat $M/progs/count_ports/run", shell=shell)
    assert counts(m) == "1"
    assert m.metrics()["runs"] == 1


def test_split_writes_are_one_packet(loaded, shell):
    m = loaded
    m.sh("dd if=$T/pkt of=$M/progs/count_ports/run bs=1 status=none", shell=shell)
    assert report(m.read("progs", "count_ports", "run"))[2] == SOCKET_OUT
    m.sh("{ head -c 10 $T/pkt; tail -c +11 $T/pkt; } > $M/progs/count_ports/run", shell=shell)
    assert report(m.read("progs", "count_ports", "run"))[2] == SOCKET_OUT
    assert counts(m) == "2"


def test_positions_mean_nothing(loaded):
    m = loaded
    fd = os.open(m.p("progs", "count_ports", "run"), os.O_RDWR)
    os.pwrite(fd, PACKET, 0)
    assert report(os.pread(fd, 4096, 0).decode())[2] == SOCKET_OUT
    assert os.pread(fd, 4096, 0)  # again from the start
    # The next packet on the same open, at the shared offset.
    for n in (2, 3):
        assert os.write(fd, PACKET) == len(PACKET)
        text = b""
        while piece := os.read(fd, 7):
            text += piece
        assert report(text.decode())[2] == SOCKET_OUT
        assert counts(m) == str(n)
    os.close(fd)
    assert counts(m) == "3"


def test_several_packets_on_one_descriptor(loaded, shell):
    m = loaded
    out = m.out("exec 3<>$M/progs/count_ports/run; for i in 1 2 3; do cat $T/pkt >&3; cat <&3; done", shell=shell)
    assert out.count("retval: ") == 3
    assert counts(m) == "3"


def test_errors(loaded, shell):
    m = loaded
    m.fails("exec 3<>$M/progs/xdp_rewrite/run; printf x >&3; cat <&3", "Invalid argument", shell=shell)
    assert "at least 14" in m.log()
    m.sh("printf x > $M/progs/xdp_rewrite/run", shell=shell)
    wait_for(lambda: "error: " in m.read("progs", "xdp_rewrite", "run"), "the run")
    fd = os.open(m.p("progs", "xdp_rewrite", "run"), os.O_RDWR)
    os.pwrite(fd, PACKET[:10], 0)
    with pytest.raises(OSError) as e:
        os.pwrite(fd, PACKET[20:], 20)
    assert e.value.errno == errno.EINVAL
    with pytest.raises(OSError):  # the ten bytes are no packet
        os.close(fd)


def test_too_large(loaded):
    fd = os.open(loaded.p("progs", "xdp_rewrite", "run"), os.O_RDWR)
    with pytest.raises(OSError) as e:
        for _ in range(20):
            os.write(fd, b"x" * (1 << 20))
    assert e.value.errno == errno.EFBIG
    with pytest.raises(OSError):
        os.close(fd)


def test_empty_is_no_run(loaded, shell):
    m = loaded
    assert m.read("progs", "xdp_rewrite", "run") == ""
    m.sh(": > $M/progs/xdp_rewrite/run; cat /dev/null > $M/progs/xdp_rewrite/run", shell=shell)
    assert m.read("progs", "xdp_rewrite", "run") == "" and m.metrics()["runs"] == 0


def test_reports_are_the_callers(m):
    m.sh("umask 0; cat $P/xdp_rewrite.bpf.o > $M/progs/new")
    m.sh("head -c 60 /dev/zero > $M/progs/xdp_rewrite/run", user=A)
    assert report(m.out("cat $M/progs/xdp_rewrite/run", user=A))[0] == 2
    assert m.out("cat $M/progs/xdp_rewrite/run", user=B) == ""


def test_two_runs_at_once(loaded):
    """Two opens do not mix: each has its own packet and report."""
    m = loaded
    fds = [os.open(m.p("progs", "xdp_rewrite", "run"), os.O_RDWR) for _ in range(2)]
    packets = [PACKET, PACKET[:6] + b"\xaa" * 6 + PACKET[12:]]
    for i in range(0, len(PACKET), 5):
        for fd, p in zip(fds, packets):
            os.write(fd, p[i:i + 5])
    got = [report(os.read(fd, 4096).decode())[2] for fd in fds]
    for fd in fds:
        os.close(fd)
    assert got[0][:6] == PACKET[6:12] and got[1][:6] == b"\xaa" * 6


def test_run_while_removed(loaded):
    """An open run holds its program."""
    m = loaded
    fd = os.open(m.p("progs", "xdp_rewrite", "run"), os.O_RDWR)
    m.sh("rm -r $M/progs/xdp_rewrite")
    os.write(fd, PACKET)
    assert report(os.read(fd, 4096).decode())[0] == 3
    os.close(fd)
    m.wait_live(1, 2)


def test_killed_while_writing(loaded):
    m = loaded
    p = subprocess.Popen(["bash", "-c", "{ head -c 10 $T/pkt; sleep 1000; } | cat > $M/progs/count_ports/run"],
                         env=dict(os.environ, M=m.path, T=m.base), start_new_session=True)
    wait_for(lambda: m.metrics()["open_files"] >= 2, "the client")
    time.sleep(0.1)
    os.killpg(p.pid, 9)
    p.wait(WAIT)
    wait_for(lambda: m.metrics()["open_files"] == 1, "the close")
    m.sh("rm -r $M/progs/*/ 2>/dev/null; true")


def test_a_run_counts_when_it_is_over(m):
    m.load("endless")
    m.sh("echo 1 > $M/maps/go/entries/0")
    p = subprocess.Popen(["bash", "-c", "exec 3<>$M/progs/endless_loop/run; head -c 64 /dev/zero >&3; cat <&3"],
                         env=dict(os.environ, M=m.path), start_new_session=True)
    try:
        m.wait_jobs()
        m.wait_busy()
        assert m.metrics()["runs"] == 0
    finally:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait(WAIT)
    wait_for(lambda: m.metrics()["runs"] == 1, "the run to end")


def test_stress(loaded):
    m = loaded

    def worker():
        for _ in range(50):
            fd = os.open(m.p("progs", "count_ports", "run"), os.O_RDWR)
            os.write(fd, PACKET)
            assert report(os.read(fd, 4096).decode())[2] == SOCKET_OUT
            os.close(fd)
    threads = [threading.Thread(target=worker) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(WAIT * 3)
        assert not t.is_alive()
    assert counts(m) == "200"


# ---- trace_pipe

@pytest.fixture
def printing(m):
    m.load("global_data")
    return m


def print_line(m):
    m.sh("head -c 64 /dev/zero > $M/progs/print_string/run")


def test_trace_pipe_waits(printing):
    m = printing
    reader = subprocess.Popen(["head", "-n", "2", m.p("trace_pipe")], stdout=subprocess.PIPE, text=True)
    m.wait_parked(1)
    print_line(m)
    print_line(m)
    out, _ = reader.communicate(timeout=WAIT)
    assert out.count("len 50") == 2
    assert m.metrics()["parked_requests"] == 0


def test_trace_pipe_nonblocking_and_poll(printing):
    m = printing
    fd = os.open(m.p("trace_pipe"), os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        os.read(fd, 100)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(0) == []
    threading.Timer(0.2, print_line, [m]).start()
    assert poll.poll(WAIT * 1000) == [(fd, select.POLLIN)]
    assert b"len 50" in os.read(fd, 1000)
    with pytest.raises(BlockingIOError):
        os.read(fd, 100)
    os.close(fd)


def test_trace_pipe_small_reads(printing):
    m = printing
    fd = os.open(m.p("trace_pipe"), os.O_RDONLY)
    print_line(m)
    text = b""
    while not text.endswith(b"\n"):
        text += os.read(fd, 1)
    assert b"len 50" in text
    os.close(fd)


def test_waiting_reader_is_interrupted(printing):
    m = printing
    readers = [subprocess.Popen(["cat", m.p("trace_pipe")], stdout=subprocess.PIPE) for _ in range(20)]
    m.wait_parked(20)
    # More waiting readers than threads: everything else goes on.
    print_line(m)
    m.load("count_ports")
    for sig, r in zip((2, 15, 9) * 7, readers):
        r.send_signal(sig)
    for r in readers:
        r.wait(WAIT)
    m.wait_parked(0)


def test_raw_program_runs_on_a_block(m):
    """SEC("raw"): what is written is the block, zeroes follow it; the report has all of it afterwards."""
    m.load("raw")
    assert "type: raw\nblock_size: 64\n" in m.read("progs", "sum_bytes", "info")
    block = struct.pack("<IIQ48s", 7, 3, 0, bytes([50, 50, 1, 99]))
    with open(os.path.join(m.base, "block"), "wb") as f:
        f.write(block)
    text = m.out("exec 3<>$M/progs/sum_bytes/run; cat $T/block >&3; cat <&3")
    retval, _, data = report(text)
    assert retval == 1
    assert data == block[:8] + struct.pack("<Q", 101) + block[16:]
    retval, _, data = report(m.out("exec 3<>$M/progs/sum_bytes/run; printf x >&3; cat <&3"))
    assert retval == 0 and data == b"x" + bytes(63)
    assert m.read("maps", "kinds", "entries", "7").strip() == "1"
    m.fails("head -c 65 /dev/zero > $M/progs/sum_bytes/run", "Invalid argument")
    assert "65 bytes do not fit into the block of 64 bytes" in m.log()
    assert "prog_type raw: yes\n" in m.read("features")
    m.fails("cat $P/malformed_raw.bpf.o > $M/progs/new", "Invalid argument")


def test_perf_map(m):
    """With -o perf_map profilers read where each function's native code lies, from a file of the server's user alone."""
    m.options += ["perf_map"]
    m.restart()
    m.load("subprograms")
    if m.info("progs", "first", "info")["jited_bytes"] == "0":
        pytest.skip("no JIT for this machine")
    path = "/tmp/perf-%d.map" % int(m.info("status")["pid"])
    try:
        assert os.stat(path).st_mode & 0o7777 == 0o600
        with open(path) as f:
            functions = [re.fullmatch(r"([0-9a-f]+) ([0-9a-f]+) bpf_prog_([0-9a-f]{16})_(\S+)\n", line).groups() for line in f]
        info = m.info("progs", "first", "info")
        functions = [f for f in functions if f[2] == info["tag"]]
        assert len(functions) == int(info["subprograms"]) > 1 and functions[0][3] == "first"
        ends = [int(begin, 16) + int(size, 16) for begin, size, *_ in functions]
        assert [int(f[0], 16) for f in functions[1:]] == ends[:-1]
        assert ends[-1] - int(functions[0][0], 16) == int(info["jited_bytes"])
    finally:
        os.unlink(path)
