"""Packets that are sent elsewhere: what test runs and sources say of the target, and the maps that hold targets."""
import os

import pytest

from test_events import pcap, stats, wait_state, write_pcap
from test_map_types import make

LO = 1  # the loopback's number, in every network namespace


def frame(key):
    return bytes([key]) + bytes(11) + b"\x08\x00" + bytes(46)


def run(m, prog, packet):
    """The report without the lines that every run has; and the returned value."""
    with open(os.path.join(m.path, "progs", prog, "run"), "r+b", buffering=0) as f:
        f.write(packet)
        lines = f.read(65536).decode().splitlines()
    values = dict(line.split(": ", 1) for line in lines)
    assert list(values)[:2] == ["retval", "duration_ns"] and list(values)[-1] == "data_out"
    return int(values["retval"]), {k: v for k, v in values.items() if "redirect" in k}


def map_id(m, name):
    return dict(line.split(": ", 1) for line in m.read("maps", name, "info").splitlines())["id"]


@pytest.fixture
def loaded(m):
    m.load("redirect")
    return m


def test_a_run_says_where(loaded):
    m = loaded
    assert run(m, "to_interface", frame(0)) == (4, {"redirect": "ifindex %u" % LO})
    assert run(m, "tc_in", frame(0)) == (7, {"redirect": "ifindex %u ingress" % LO})
    assert run(m, "tc_peer", frame(0)) == (7, {"redirect": "ifindex %u peer" % LO})
    assert run(m, "tc_neigh", frame(0)) == (7, {"redirect": "ifindex %u neigh" % LO})
    assert run(m, "tc_clone", frame(0)) == (0, {"clone_redirect": "ifindex %u" % LO})


def test_a_run_says_by_which_map(loaded):
    m = loaded
    assert run(m, "to_map", frame(3)) == (1, {})  # no entry: XDP_DROP, as its flags say
    m.sh("echo %u > $M/maps/hashed/entries/200" % LO)
    m.sh("echo '{\"ifindex\":%u}' > $M/maps/devs/entries/3" % LO)
    m.sh("echo 64 > $M/maps/cpus/entries/0")
    devs, hashed, cpus = (map_id(m, name) for name in ("devs", "hashed", "cpus"))
    assert run(m, "to_map", frame(3)) == (4, {"redirect": "ifindex %u map %s key 3" % (LO, devs)})
    assert run(m, "to_map", frame(4)) == (1, {})
    assert run(m, "to_hashed", frame(200)) == (4, {"redirect": "ifindex %u map %s key 200" % (LO, hashed)})
    assert run(m, "to_hashed", frame(201)) == (2, {})
    assert run(m, "to_cpu", frame(0)) == (4, {"redirect": "cpu 0 map %s key 0" % cpus})
    assert run(m, "to_cpu", frame(9)) == (3, {})
    assert run(m, "to_all", frame(0)) == (4, {"redirect": "all map %s key 0" % devs})
    assert run(m, "to_socket", frame(0)) == (2, {})
    m.sh("rm $M/maps/devs/entries/3")
    assert run(m, "to_map", frame(3)) == (1, {})


def test_entries_of_targets(m):
    """Those that are set are listed, no others; they are back after a restart."""
    make(m, "d", "devmap", key_size=4, value_size=4, max_entries=100)
    make(m, "h", "devmap_hash", key_size=4, value_size=4, max_entries=2)
    make(m, "c", "cpumap", key_size=4, value_size=4, max_entries=2)
    make(m, "x", "xskmap", max_entries=2)
    m.sh("echo %u > $M/maps/d/entries/77; echo %u > $M/maps/h/entries/70000; echo 1 > $M/maps/c/entries/0" % (LO, LO))
    for _ in range(2):
        assert m.out("ls $M/maps/d/entries $M/maps/h/entries $M/maps/c/entries $M/maps/x/entries").split() == [
            m.path + "/maps/c/entries:", "0", m.path + "/maps/d/entries:", "77",
            m.path + "/maps/h/entries:", "70000", m.path + "/maps/x/entries:"]
        assert m.read("maps", "d", "dump") == "77 %u\n" % LO
        m.restart()
    assert "entries: 1\n" in m.read("maps", "d", "stats")
    m.fails("echo 2147483000 > $M/maps/d/entries/1", "Invalid argument")  # no such interface
    m.fails("echo %u > $M/maps/d/entries/100" % LO, "Argument list too long")
    m.fails("echo 20000 > $M/maps/c/entries/0", "too large")  # a queue's length
    m.fails("echo 3 > $M/maps/x/entries/0", "not supported")  # a socket is its owner's descriptor


def test_a_source_counts_them(loaded):
    m = loaded
    path, out = os.path.join(m.base, "in.pcap"), os.path.join(m.base, "out.pcap")
    m.sh("echo %u > $M/maps/hashed/entries/1" % LO)
    write_pcap(path, [frame(1)] * 3 + [frame(2)] * 2)
    for prog, want in (("to_hashed", ("3", "0")), ("tc_in", ("5", "0")), ("to_map", ("0", "5"))):
        pcap(m, prog, prog, ("file", path), ("out", out))
        wait_state(m, prog, "ended")
        s = stats(m, prog)
        assert (s["seen"], s["redirected"], s["dropped"]) == ("5",) + want
