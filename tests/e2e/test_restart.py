"""Crash-only: kill -9 and start again on the same state; every name, content and program is back."""
import contextlib
import os
import random
import signal
import struct
import subprocess
import threading
import time

import pytest

from conftest import PROGS, USERS, WAIT, obj, wait_for
from test_progs_run import PACKET, SOCKET_OUT, report


@pytest.fixture(params=["kill", "umount"])
def again(request, m):
    m.expect("taking away")
    return lambda: m.restart(kill=request.param == "kill")


def tree(m):
    """Everything that a client sees of names, bits and owners, but for the numbers of types."""
    return m.out("cd $M; find progs maps ids d -path ids/btf -prune -o -printf '%p %y %m %U %G %n %l\\n' | sort")


def test_everything_is_back(m, again):
    m.load("count_ports")
    m.load("shared_map_a")
    m.sh("""mkdir -p $M/d/e; ln $M/progs/count_ports/prog $M/d/p; ln $M/maps/by_port/map $M/d/m; ln -s e $M/d/l
            mkdir $M/maps/mine; cd $M/maps/mine; echo hash > type; echo 4 > key_size; echo 8 > value_size
            echo 100 > max_entries; echo 7 > entries/1; echo 8 > entries/2; rm entries/1
            mkdir $M/maps/half; echo hash > $M/maps/half/type; echo 4 > $M/maps/half/key_size
            chmod 700 $M/d/e; chown %d $M/d/p""" % (os.geteuid() or USERS[0]))
    with open(os.path.join(m.base, "pkt"), "wb") as f:
        f.write(PACKET)
    for _ in range(3):
        m.run("count_ports", "cat $T/pkt")
    before = tree(m), m.out("cd $M/maps; cat by_proto/entries/17 by_port/dump mine/dump half/type half/key_size"), \
        m.read("progs", "count_ports", "xlated"), m.info("progs", "count_ports", "info")["tag"]
    again()
    after = tree(m), m.out("cd $M/maps; cat by_proto/entries/17 by_port/dump mine/dump half/type half/key_size"), \
        m.read("progs", "count_ports", "xlated"), m.info("progs", "count_ports", "info")["tag"]
    assert after == before
    m.wait_live(2, 4)
    # and it goes on where it was
    fd = os.open(m.p("progs", "count_ports", "run"), os.O_RDWR)
    os.write(fd, PACKET)
    assert report(os.read(fd, 4096).decode())[2] == SOCKET_OUT
    os.close(fd)
    assert m.read("maps", "by_proto", "entries", "17") == "4\n"
    m.sh("cd $M/maps/half; echo 4 > value_size; echo 10 > max_entries; echo 1 > entries/1; cat entries/1")
    m.sh("rm -r $M/progs/*_* $M/d $M/maps/mine $M/maps/half $M/maps/shared")
    assert m.names() == ([], [])
    m.wait_live(0, 0)
    assert m.objects() == []


def test_unnamed_objects_go(request, m, again):
    """What only a descriptor held is not brought back, and its files are removed."""
    m.load("count_ports")
    fd = os.open(m.p("maps", "by_port", "map"), os.O_RDWR)
    m.sh("rm -r $M/progs/count_ports")
    m.wait_live(0, 1)
    assert m.objects() != []
    if request.node.callspec.params["again"] == "umount":  # refused while it is open
        os.close(fd)
        again()
    else:
        again()
        with contextlib.suppress(OSError):  # the mount that it was of is dead
            os.close(fd)
    m.wait_live(0, 0)
    assert m.objects() == []


def test_map_without_a_name_lives_by_its_program(m, again):
    m.load("count_ports")
    m.sh("mkdir $M/d; ln $M/progs/count_ports/prog $M/d/p; rm -r $M/progs/count_ports")
    m.wait_live(1, 2)
    again()
    m.wait_live(1, 2)
    assert m.names() == ([], [])
    m.sh("rm $M/d/p")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_ids_never_repeat(m, again):
    seen = set()
    for _ in range(3):
        m.load("count_ports")
        ids = {int(i) for i in os.listdir(m.p("ids", "prog")) + os.listdir(m.p("ids", "map"))}
        assert len(ids) == 3 and not ids & seen
        seen |= ids
        m.sh("rm -r $M/progs/count_ports")
        m.wait_live(0, 0)
        again()


def test_load_named_maps_go_after_a_restart(m, again):
    m.load("global_data")
    again()
    m.sh("for p in $M/progs/*/; do rm -r $p; done")
    assert m.names() == ([], [])
    m.wait_live(0, 0)


def test_tail_calls_are_back(m, again):
    m.load("tail_calls")
    pkt = os.path.join(m.base, "pkt")
    with open(pkt, "wb") as f:
        f.write(PACKET)

    def run():
        return report(m.out("exec 3<>$M/progs/start/run; cat $T/pkt >&3; cat <&3"))[0]
    before = run()
    live = m.metrics()["progs_live"], m.metrics()["maps_live"]
    slots = m.read("maps", "steps", "dump")
    again()
    assert m.read("maps", "steps", "dump") == slots
    assert run() == before
    m.wait_live(*live)


def test_program_that_only_a_slot_holds(m, again):
    m.load("tail_calls")
    progs = m.names()[0]
    live = m.metrics()["progs_live"], m.metrics()["maps_live"]
    m.sh("rm -r $M/progs/tail_one $M/progs/tail_two")
    assert len(m.names()[0]) == len(progs) - 2
    m.wait_live(*live)
    again()
    m.wait_live(*live)
    m.sh("for p in $M/progs/*/; do rm -r $p; done")
    m.wait_live(0, 0)
    assert m.objects() == []


def state(m, *names):
    return os.path.join(m.state, *names)


def test_unfinished_load_is_rolled_back(m):
    """As it is when the server dies between two names of a load: a manifest, and some names in place."""
    m.load("count_ports")
    m.sh("mkdir $M/d; ln $M/progs/count_ports/prog $M/d/keep")
    m.kill()
    prog = next(i for i in m.objects() if os.path.samefile(state(m, "objects", i),
                                                           state(m, "tree", "progs", "count_ports", "prog")))
    by_port = next(i for i in m.objects() if os.path.samefile(state(m, "objects", i),
                                                              state(m, "tree", "maps", "by_port", "map")))
    os.mkdir(state(m, "pending", "99"))
    os.rename(state(m, "tree", "maps", "by_proto"), state(m, "pending", "99", "2"))
    with open(state(m, "pending", "99", "manifest"), "w") as f:
        f.write("progs %s count_ports\nmaps %s by_port\nmaps 12345 by_proto\n" % (prog, by_port))
    m.expect("taking away|rolled back")
    m.start()
    assert "rolled back" in m.errors()
    assert m.names() == ([], [])
    assert os.listdir(state(m, "pending")) == []
    m.wait_live(1, 2)  # the pin was not of the load
    m.sh("rm $M/d/keep")
    m.wait_live(0, 0)
    m.load("count_ports")


def test_broken_program_is_kept_and_says_so(m):
    m.load("count_ports")
    m.load("shared_map_a")
    m.kill()
    path = state(m, "tree", "progs", "count_ports", "prog")
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        f.write(b"\xff" * 16)
    m.expect("taking away|could not be read|is kept")
    m.start()
    assert "could not be read" in m.errors()
    assert m.names()[0] == ["count_ports", "shared_a"]
    assert "could not be read" in m.read("progs", "count_ports", "info")
    m.fails("cat $M/progs/count_ports/xlated", "Bad message")
    m.fails("exec 3<$M/progs/count_ports/prog", "Bad message")
    m.fails("head -c 64 /dev/zero > $M/progs/count_ports/run", "Bad message")
    assert "could not be read" in m.log()
    m.restart()
    assert m.names()[0] == ["count_ports", "shared_a"]
    m.sh("mv $M/progs/count_ports $M/progs/x; rm -r $M/progs/x")
    assert m.names()[0] == ["shared_a"]
    m.wait_live(1, 1)
    m.sh("rm -r $M/progs/shared_a $M/maps/shared")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_broken_map_is_kept_and_says_so(m):
    m.load("count_ports")
    m.kill()
    with open(state(m, "tree", "maps", "by_proto", "map"), "r+b") as f:
        f.seek(8)
        f.write(struct.pack("<I", 4711))  # a layout that this build does not know
    m.expect("taking away|could not be opened|cannot be read|is kept")
    m.start()
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])
    m.fails("cat $M/maps/by_proto/info", "Bad message")
    assert "uses map" in m.read("progs", "count_ports", "info")
    m.sh("rm -r $M/progs/count_ports")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_foreign_files_do_no_harm(m):
    m.load("count_ports")
    m.kill()
    for name in ("objects/junk", "objects/4711", "objects/4712.values", "pending/x"):
        with open(state(m, name), "w") as f:
            f.write("not ours")
    os.mkdir(state(m, "tree", "progs", "empty"))
    os.mkdir(state(m, "tree", "maps", "empty"))
    m.expect("taking away")
    m.expect("pending/x: .* is kept")
    m.start()
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])
    m.load("shared_map_a")
    assert os.path.exists(state(m, "pending/x")) and os.path.exists(state(m, "objects/4712.values"))


def test_mapped_writes_survive(m):
    """Updates that were acknowledged are there after SIGKILL."""
    m.sh("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 4 > key_size; echo 4 > value_size; "
         "echo 1000 > max_entries")
    acknowledged = []

    def writer():
        try:
            for i in range(1000):
                with open(m.p("maps", "h", "entries", str(i)), "w") as f:
                    f.write("%d\n" % (i * 3))
                acknowledged.append(i)
        except OSError:
            pass
    t = threading.Thread(target=writer)
    t.start()
    wait_for(lambda: len(acknowledged) > 50, "some writes")
    m.kill()
    t.join(WAIT)
    m.expect("taking away")
    m.start()
    dump = dict(line.split() for line in m.read("maps", "h", "dump").splitlines())
    for i in acknowledged:
        assert dump[str(i)] == str(i * 3)
    assert len(dump) <= len(acknowledged) + 1


def test_kill_loop_during_loads(m):
    """SIGKILL at random moments of loads and removals: after each start the state is whole."""
    m.expect("taking away|rolled back")
    rng = random.Random(1)
    for _ in range(12):
        client = subprocess.Popen(
            ["bash", "-c", "while :; do cat $P/global_data.bpf.o > $M/progs/new; "
             "for p in $M/progs/*/; do rm -r $p; done; done 2>/dev/null"],
            env=dict(os.environ, M=m.path, P=PROGS), start_new_session=True)
        time.sleep(0.05 + rng.random() / 4)
        m.kill()
        os.killpg(client.pid, signal.SIGKILL)
        client.wait(WAIT)
        m.start()
        progs, maps = m.names()
        if progs:  # in the middle of the removals: what is left is usable
            assert set(maps) >= {"global_data.data", "global_data.bss"}
            for p in progs:
                assert "name: " + p in m.read("progs", p, "info")
        else:
            assert maps == []
        assert os.listdir(state(m, "pending")) == []
        m.sh("for p in $M/progs/*/; do [ -d $p ] && rm -r $p; done; true")
        assert m.names() == ([], [])
        m.wait_live(0, 0)
        assert m.objects() == []
