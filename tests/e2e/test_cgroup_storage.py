"""Cgroup storage: what programs keep for a cgroup, as files, over restarts, and when cgroups go."""
import os
import struct

import pytest

from conftest import wait_for
from test_cgroup import run

IN, OUT = 0, 1


@pytest.fixture
def tree(m):
    m.load("cgroup_storage")
    m.sh("mkdir -p $M/cgroup/A/B")
    return m


@pytest.fixture(params=["kill", "umount"])
def again(request, m):
    return lambda: m.restart(kill=request.param == "kill")


def key(m, path, kind):
    """struct bpf_cgroup_storage_key as a name in entries/."""
    return struct.pack("<QII", int(m.info("cgroup", path, "stats")["id"]), kind, 0).hex()


def packets(m, path, kind):
    return struct.unpack_from("<Q", bytes.fromhex(m.read("maps/by_direction/entries", key(m, path, kind))))[0]


def total(m, path):
    text = m.read("maps/by_cgroup/entries", m.info("cgroup", path, "stats")["id"])
    return sum(int(line.split()[1]) for line in text.splitlines())


def test_as_files(tree):
    m = tree
    assert os.listdir(m.p("maps/by_direction/entries")) == []
    m.sh("echo count_in > $M/cgroup/A/ingress.attach; echo count_out > $M/cgroup/A/egress.attach")
    assert sorted(os.listdir(m.p("maps/by_direction/entries"))) == sorted([key(m, "A", IN), key(m, "A", OUT)])
    assert os.listdir(m.p("maps/by_cgroup/entries")) == [m.info("cgroup/A/stats")["id"]]
    for _ in range(3):
        run(m, "A/B")
    run(m, "A", "egress")
    assert packets(m, "A", IN) == 3 and packets(m, "A", OUT) == 1 and total(m, "A") == 4
    # what is attached below has its own
    m.sh("echo every_other > $M/cgroup/A/B/ingress.attach")
    assert [run(m, "A/B") for _ in range(4)] == [0, 1, 0, 1]
    assert packets(m, "A/B", IN) == 4 and packets(m, "A", IN) == 3
    assert m.info("maps/by_direction/stats")["entries"] == "3"
    assert len(m.read("maps/by_direction/dump").splitlines()) == 3
    assert '"packets":4' in m.read("maps/by_direction/dump.json")
    # from outside: changed, but neither made nor removed
    name = key(m, "A", IN)
    m.sh("echo '07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00' > $M/maps/by_direction/entries/%s" % name)
    assert packets(m, "A", IN) == 7
    m.fails("rm $M/maps/by_direction/entries/%s" % name, "Invalid argument")
    m.fails("echo 5 > $M/maps/by_cgroup/entries/999999", "No such file")
    m.sh("cat $M/maps/by_direction/dump > $T/d; cat $T/d > $M/maps/by_direction/dump")
    m.sh("echo > $M/cgroup/A/ingress.attach")
    assert packets(m, "A", IN) == 7  # a detach keeps it
    m.sh("echo > $M/cgroup/A/B/ingress.attach; rmdir $M/cgroup/A/B")
    wait_for(lambda: m.info("maps/by_direction/stats")["entries"] == "2", "the storage to go")


def test_made_by_hand(m):
    m.sh("mkdir $M/maps/s; cd $M/maps/s; echo cgroup_storage > type; echo 8 > key_size; echo 8 > value_size")
    assert m.read("maps/s/max_entries") == "0\n" and "map" in os.listdir(m.p("maps/s"))
    m.sh("mkdir $M/maps/t; cd $M/maps/t; echo percpu_cgroup_storage > type; echo 16 > key_size")
    m.fails("cd $M/maps/t; echo 32769 > value_size", "Argument list too long")
    m.sh("cd $M/maps/t; echo 8 > value_size")
    m.fails("mkdir $M/maps/u; cd $M/maps/u; echo cgroup_storage > type; echo 4 > key_size; echo 8 > value_size",
            "Invalid argument")
    assert "map_type cgroup_storage: yes" in m.read("features")
    assert "helper get_local_storage: cgroup_skb" in m.read("features")


def test_restart(tree, again):
    m = tree
    m.sh("mkdir $M/cgroup/C; echo count_in > $M/cgroup/A/ingress.attach; echo count_in > $M/cgroup/C/ingress.attach; "
         "echo every_other > $M/cgroup/A/B/ingress.attach")
    for _ in range(3):
        run(m, "A/B")
    run(m, "A")
    run(m, "C")
    ids = {p: m.info("cgroup", p, "stats")["id"] for p in ("A", "A/B", "C")}
    dump = m.read("maps/by_direction/dump")
    again()
    assert ids == {p: m.info("cgroup", p, "stats")["id"] for p in ("A", "A/B", "C")}
    assert sorted(m.read("maps/by_direction/dump").splitlines()) == sorted(dump.splitlines())
    assert run(m, "A/B") == 1  # the fourth
    assert packets(m, "A/B", IN) == 4 and packets(m, "A", IN) == 1 and total(m, "C") == 1
    # ids do not come again
    m.sh("echo > $M/cgroup/A/B/ingress.attach; rmdir $M/cgroup/A/B; mkdir $M/cgroup/A/B $M/cgroup/N")
    assert int(m.info("cgroup/N/stats")["id"]) > max(map(int, ids.values()))
    m.sh("echo count_in > $M/cgroup/A/B/ingress.attach")
    assert packets(m, "A/B", IN) == 0


def test_cgroup_that_went_without_a_server(tree):
    m = tree
    m.sh("echo count_in > $M/cgroup/A/B/ingress.attach")
    run(m, "A/B")
    m.kill()
    base = os.path.join(m.state, "tree/cgroup/A/B")
    for name in os.listdir(base):
        os.unlink(os.path.join(base, name))
    os.rmdir(base)
    m.start()
    assert m.info("maps/by_direction/stats")["entries"] == "0"
    assert m.read("maps/by_cgroup/dump") == ""


def test_test_run_has_its_own(tree):
    m = tree
    m.sh("echo every_other > $M/cgroup/A/ingress.attach")
    for _ in range(3):
        assert "retval: 0" in m.out("exec 3<>$M/progs/every_other/run; head -c 64 /dev/zero >&3; cat <&3")
    assert packets(m, "A", IN) == 0


def test_the_last_program_takes_it_along(tree):
    m = tree
    m.sh("echo count_in > $M/cgroup/A/ingress.attach; rm -r $M/progs/*/; rm -rf $M/maps/*")
    assert run(m, "A") == 1
    m.sh("echo > $M/cgroup/A/ingress.attach")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_two_of_a_kind(m):
    m.fails("cat $P/reject_cgroup_storage.bpf.o > $M/progs/new", "Device or resource busy")
    assert "only one cgroup storage of each type is allowed" in m.read("progs/log")
