"""Values with a struct bpf_spin_lock: as files, through the ioctls, across a kill."""
import ctypes
import errno
import json
import os
import struct
import threading

import pytest

from conftest import WAIT, wait_for
from test_client import fails, lib, u32  # noqa: F401 (a fixture)
from test_progs_run import PACKET, report

F_LOCK, NOEXIST, EXIST, ANY = 4, 1, 2, 0
LEN = len(PACKET)


def flow(packets, nbytes, seen=1, lock=0):
    return struct.pack("=IIQQ", seen, lock, packets, nbytes)


def hexed(data):
    return data.hex(" ") + "\n"


@pytest.fixture
def loaded(m):
    m.load("spin_lock")
    return m


def run(m, times=1):
    with open(m.base + "/pkt", "wb") as f:
        f.write(PACKET)
    for _ in range(times):
        fd = os.open(m.p("progs/count/run"), os.O_RDWR)
        os.write(fd, PACKET)
        assert report(os.read(fd, 4096).decode())[0] == 0
        os.close(fd)


def push(m, lib, times, results):
    """The program on the packet, so many times, by a thread that is not waited for."""
    fd = os.open(m.p("progs/count/prog"), os.O_RDWR)

    def work():
        ret, took = ctypes.c_uint32(99), ctypes.c_uint32()
        err = lib.ubpfc_prog_test_run(fd, times, PACKET, LEN, None, None, ctypes.byref(ret), ctypes.byref(took))
        results.append(err or ret.value)
        try:
            os.close(fd)
        except OSError:
            pass  # its server was killed
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_counts_under_the_lock(loaded):
    m = loaded
    run(m, 3)
    assert m.read("maps/flows/entries/%d" % LEN) == hexed(flow(3, 3 * LEN))
    assert m.read("maps/totals/entries/0") == hexed(struct.pack("=QIIQ", 3, 0, 0, 3 * LEN))
    assert m.read("maps/count.data.all/entries/0").replace("\n", " ").find(struct.pack("=QQ", 3, 3 * LEN).hex(" ")) >= 0
    assert m.info("maps/flows/info")["spin_lock_off"] == "4"
    assert m.info("maps/totals/info")["spin_lock_off"] == "8"
    assert "spin_lock" in m.read("progs/count/xlated")


def test_the_lock_reads_as_zero_and_what_is_written_there_is_ignored(loaded, shell):
    m = loaded
    m.sh("echo '%s' > $M/maps/flows/entries/5" % hexed(flow(1, 2, lock=0xffffffff)).strip(), shell=shell)
    m.sh("echo '%s' > $M/maps/totals/entries/1" % hexed(struct.pack("=QIIQ", 7, 1, 9, 8)).strip(), shell=shell)
    assert m.read("maps/flows/entries/5") == hexed(flow(1, 2))
    assert m.read("maps/totals/entries/1") == hexed(struct.pack("=QIIQ", 7, 0, 9, 8))
    # it can be taken: a program that adds to it ends
    m.sh("echo '%s' > $M/maps/flows/entries/%d; echo '%s' > $M/maps/totals/entries/0" % (
        hexed(flow(1, 2, lock=1)).strip(), LEN, hexed(struct.pack("=QIIQ", 1, 1, 0, 1)).strip()))
    run(m)
    assert m.read("maps/flows/entries/%d" % LEN) == hexed(flow(2, 2 + LEN))
    assert m.read("maps/totals/entries/0") == hexed(struct.pack("=QIIQ", 2, 0, 0, 1 + LEN))


def test_dumps(loaded):
    m = loaded
    run(m, 2)
    m.sh("cd $M/maps/flows; echo '%s' > entries/9" % hexed(flow(4, 4)).strip())
    dump = m.read("maps/flows/dump")
    assert sorted(dump.splitlines()) == sorted(["%d %s" % (LEN, hexed(flow(2, 2 * LEN)).strip()),
                                                "9 " + hexed(flow(4, 4)).strip()])
    values = {e["key"]: e["value"] for e in json.loads(m.read("maps/flows/dump.json"))}
    assert values[9] == {"seen": 1, "lock": {"val": 0}, "packets": 4, "bytes": 4}
    with open(m.p("maps/totals/raw"), "rb") as f:
        assert f.read(24 + 8)[8:] == struct.pack("=QIIQ", 2, 0, 0, 2 * LEN)
    # what a dump says can be written back, also with a lock in it
    m.sh("cat $M/maps/flows/dump > $T/f; rm $M/maps/flows/entries/*; cat $T/f > $M/maps/flows/dump")
    assert sorted(m.read("maps/flows/dump").splitlines()) == sorted(dump.splitlines())
    run(m)
    assert m.read("maps/flows/entries/%d" % LEN) == hexed(flow(3, 3 * LEN))


def test_flags(loaded, lib):
    m = loaded
    out = ctypes.create_string_buffer(24)
    fd = os.open(m.p("maps/flows/map"), os.O_RDWR)
    fails(errno.ENOENT, lib.ubpfc_update_elem(fd, u32(1), flow(1, 1), F_LOCK | EXIST))
    assert lib.ubpfc_update_elem(fd, u32(1), flow(1, 1, lock=1), F_LOCK | NOEXIST) == 0
    fails(errno.EEXIST, lib.ubpfc_update_elem(fd, u32(1), flow(1, 1), F_LOCK | NOEXIST))
    assert lib.ubpfc_update_elem(fd, u32(1), flow(2, 2, lock=1), F_LOCK) == 0
    fails(errno.EINVAL, lib.ubpfc_update_elem(fd, u32(1), flow(2, 2), 8))
    u64s = ctypes.c_ulonglong
    assert lib.ubpfc_lookup_elem_flags(fd, u32(1), out, u64s(F_LOCK)) == 0 and out.raw == flow(2, 2)
    assert lib.ubpfc_lookup_elem(fd, u32(1), out) == 0 and out.raw == flow(2, 2)
    fails(errno.EINVAL, lib.ubpfc_lookup_elem_flags(fd, u32(1), out, u64s(EXIST)))
    fails(errno.ENOENT, lib.ubpfc_lookup_elem_flags(fd, u32(2), out, u64s(F_LOCK)))
    keys, values, count = (ctypes.c_uint32 * 3)(5, 6, 7), flow(5, 5) + flow(6, 6) + flow(7, 7), ctypes.c_uint32(3)
    assert lib.ubpfc_update_batch(fd, keys, values, ctypes.byref(count), u64s(F_LOCK)) == 0
    assert m.read("maps/flows/entries/6") == hexed(flow(6, 6))
    os.close(fd)
    plain = lib.ubpfc_create_map(1, 4, 24, 4, 0)
    fails(errno.EINVAL, lib.ubpfc_update_elem(plain, u32(1), flow(1, 1), F_LOCK))
    fails(errno.EINVAL, lib.ubpfc_lookup_elem_flags(plain, u32(1), out, u64s(F_LOCK)))
    fails(errno.EINVAL, lib.ubpfc_update_batch(plain, keys, values, ctypes.byref(ctypes.c_uint32(3)), u64s(F_LOCK)))
    os.close(plain)


def test_no_value_is_torn_while_programs_run(loaded, lib):
    """bytes is always packets * LEN, whoever looks while packets come."""
    m = loaded
    run(m)
    stop, wrong = threading.Event(), []

    def look():
        while not stop.is_set():
            data = bytes.fromhex(m.read("maps/flows/entries/%d" % LEN))
            _, lock, packets, nbytes = struct.unpack("=IIQQ", data)
            if lock or nbytes != packets * LEN:
                wrong.append(data)
            for line in m.read("maps/flows/dump").splitlines():
                _, lock, packets, nbytes = struct.unpack("=IIQQ", bytes.fromhex(line.split(" ", 1)[1]))
                if lock or nbytes != packets * LEN:
                    wrong.append(line)
    thread = threading.Thread(target=look)
    thread.start()
    results = []
    pushers = [push(m, lib, 300000, results) for _ in range(2)]
    for p in pushers:
        p.join(WAIT * 3)
    stop.set()
    thread.join(WAIT)
    assert results == [0, 0] and not wrong
    assert m.read("maps/flows/entries/%d" % LEN) == hexed(flow(600001, 600001 * LEN))
    assert m.read("maps/totals/entries/0") == hexed(struct.pack("=QIIQ", 600001, 0, 0, 600001 * LEN))


@pytest.mark.parametrize("kill", [True, False])
def test_restart(loaded, kill):
    m = loaded
    m.expect("taking away")
    run(m, 2)
    before = m.read("maps/flows/dump"), m.read("maps/totals/dump"), m.read("maps/flows/info")
    m.restart(kill=kill)
    assert (m.read("maps/flows/dump"), m.read("maps/totals/dump"), m.read("maps/flows/info")) == before
    run(m)
    assert m.read("maps/flows/entries/%d" % LEN) == hexed(flow(3, 3 * LEN))
    assert m.read("maps/count.data.all/entries/0").replace("\n", " ").find(struct.pack("=QQ", 3, 3 * LEN).hex(" ")) >= 0


def test_killed_while_locks_are_held(loaded, lib):
    """A server that dies in the middle of it: the next one finds no lock taken."""
    m = loaded
    m.expect("taking away")
    run(m)
    for i in range(4):
        first = m.read("maps/totals/entries/0")
        pushers = [push(m, lib, 50000000, []) for _ in range(2)]
        wait_for(lambda: m.read("maps/totals/entries/0") != first, "the packets")
        m.kill()
        for p in pushers:
            p.join(WAIT)
        m.start()
        _, lock, packets, nbytes = struct.unpack(
            "=IIQQ", bytes.fromhex(m.read("maps/flows/entries/%d" % LEN)))
        # each kill may have come between two stores, which leaves one of them
        assert lock == 0 and (nbytes - packets * LEN) % LEN == 0 and abs(nbytes - packets * LEN) <= (i + 1) * LEN
        run(m)
        data = struct.unpack("=IIQQ", bytes.fromhex(m.read("maps/flows/entries/%d" % LEN)))
        assert data[2] == packets + 1


def test_what_is_refused(m):
    m.fails("cat $P/reject_spin_lock.bpf.o > $M/progs/new", "Invalid argument")
    assert "global function calls are not allowed while holding a lock" in m.read("progs/log")
    # without BTF there is no lock: what mkdir made is another map
    m.sh("""mkdir $M/maps/flows; cd $M/maps/flows; echo hash > type; echo 4 > key_size; echo 24 > value_size
            echo 64 > max_entries""")
    m.fails("cat $P/spin_lock.bpf.o > $M/progs/new", "Invalid argument")
    assert "differs in the end of the struct bpf_spin_lock" in m.log()
    assert "spin_lock_off" not in m.read("maps/flows/info")
    m.sh("rm -r $M/maps/flows")
    m.load("spin_lock")


def test_no_mapping_of_values_with_locks(loaded):
    m = loaded
    assert "mem" not in os.listdir(m.p("maps/totals"))
    m.fails("head -c 8 $M/maps/totals/mem", "No such file")


def test_features(m):
    lines = m.read("features").splitlines()
    assert any(line.startswith("value bpf_spin_lock: hash array") for line in lines)
    assert any(line.startswith("helper spin_lock:") and " sched_cls" in line for line in lines)
