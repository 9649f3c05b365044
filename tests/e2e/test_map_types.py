"""Maps that are no tables, and tables of maps, from the shell."""
import contextlib
import json
import os
import select
import signal
import subprocess
import threading

import pytest

from conftest import USERS, WAIT, needs_root, wait_for
from test_client import fails, lib, u32, u64  # noqa: F401 (a fixture)


def make(m, name, type, **attrs):
    m.sh("mkdir $M/maps/%s; echo %s > $M/maps/%s/type" % (name, type, name))
    for attr, value in attrs.items():
        m.sh("echo %s > $M/maps/%s/%s" % (value, name, attr))


def read_later(m, *names, size=4096):
    """Start a read that waits; returns what it gives, as a function."""
    out = []

    def work():
        fd = os.open(m.p(*names), os.O_RDONLY)
        try:
            out.append(os.read(fd, size))
        finally:
            os.close(fd)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def done():
        thread.join(WAIT)
        assert not thread.is_alive(), "the read still waits"
        return out[0].decode()
    return thread, done


@pytest.fixture(params=["kill", "umount"])
def again(request, m):
    m.expect("taking away")
    return lambda: m.restart(kill=request.param == "kill")


# ---------------------------------------------------------------- queues and stacks

@pytest.mark.parametrize("type,order", [("queue", "17 18 19"), ("stack", "19 18 17")])
def test_push_and_pop(m, shell, type, order):
    make(m, "q", type, value_size=4, max_entries=3)
    m.sh("cd $M/maps/q; echo 17 > push; printf '18\\n19\\n' > push", shell=shell)
    assert sorted(os.listdir(m.p("maps/q"))) == sorted(
        "map type key_size value_size max_entries map_flags info dump dump.json stats raw push pop peek".split())
    assert m.read("maps/q/peek") == order.split()[0] + "\n"
    assert m.read("maps/q/dump") == "17\n18\n19\n"
    assert [e["value"] for e in json.loads(m.read("maps/q/dump.json"))] == [17, 18, 19]
    m.fails("echo 20 > $M/maps/q/push", "Argument list too long")
    assert "at most 3 entries" in m.log()
    assert m.out("cd $M/maps/q; cat pop; cat pop; cat pop", shell=shell).split() == order.split()
    m.fails("cat $M/maps/q/peek", "No such file or directory")
    assert "is empty" in m.log()


def test_a_dump_makes_the_same_queue(m):
    for type in "queue", "stack":
        make(m, type, type, value_size=3, max_entries=5)
        make(m, type + "2", type, value_size=3, max_entries=5)
        m.sh("cd $M/maps; for i in 1 2 3; do echo 0$i 0a ff > %s/push; done; cat %s/dump > $T/f; cat $T/f > %s2/dump" %
             (type, type, type))
        assert m.read("maps", type + "2", "dump") == "01 0a ff\n02 0a ff\n03 0a ff\n"
        assert m.read("maps", type, "pop") == m.read("maps", type + "2", "pop")


@pytest.mark.parametrize("file", ["dump", "push"])
def test_a_full_buffer_ends_in_the_middle_of_a_line(m, file):
    """cat and dd write 128 KiB, 4 KiB or 512 bytes at a time: what stands after the last newline is no value yet."""
    text = "".join("%d\n" % i for i in range(40000))
    with open(m.base + "/f", "w") as f:
        f.write(text)
    for command in "cat $T/f", "dd if=$T/f bs=512 status=none", "dd if=$T/f bs=4096 status=none":
        make(m, "q", "queue", value_size=4, max_entries=50000)
        m.sh("%s > $M/maps/q/%s" % (command, file))
        assert m.read("maps/q/dump") == text
        m.sh("rm -r $M/maps/q")
    # A text that ends there acts when the file is closed, and a line that was used up is not used again.
    make(m, "q", "queue", value_size=4, max_entries=50000)
    m.sh("head -c 512 $T/f > $M/maps/q/%s" % file)
    assert m.read("maps/q/dump") == text[:512] + "\n"
    m.sh("rm -r $M/maps/q")
    make(m, "q", "queue", value_size=4, max_entries=50000)
    m.sh("(printf 5; echo; printf 6) > $M/maps/q/%s" % file)
    assert m.read("maps/q/dump") == "5\n6\n"


def test_stacks_are_not_written(m):
    make(m, "s", "stack_trace", value_size=80, max_entries=16)
    m.fails("echo 3 0x1000 > $M/maps/s/dump", "Invalid argument")
    assert "only programs put stacks in" in m.log()


def test_bad_values_are_not_pushed(m):
    make(m, "q", "queue", value_size=4, max_entries=3)
    for text in "four", "4294967296", "1 2", "-1":
        r = m.sh("echo %s > $M/maps/q/push" % text, check=False)
        assert r.returncode
    m.sh(": > $M/maps/q/push")
    assert m.read("maps/q/dump") == ""
    m.fails("mkdir $M/maps/x && cd $M/maps/x && echo queue > type && echo 4 > key_size && echo 4 > value_size && "
            "echo 3 > max_entries", "Invalid argument")


def test_pop_waits_for_a_push(m):
    make(m, "q", "queue", value_size=4, max_entries=3)
    thread, done = read_later(m, "maps/q/pop")
    m.wait_parked(1)
    assert thread.is_alive()
    m.sh("echo 5 > $M/maps/q/push")
    assert done() == "5\n"
    assert m.read("maps/q/dump") == ""


def test_pop_without_waiting(m):
    make(m, "q", "queue", value_size=4, max_entries=3)
    fd = os.open(m.p("maps/q/pop"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(BlockingIOError):
            os.read(fd, 100)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert not poll.poll(0)
        m.sh("echo 5 > $M/maps/q/push")
        assert poll.poll(WAIT * 1000)
        assert os.read(fd, 1) + os.read(fd, 100) == b"5\n"
        # One value an open: the next read waits for nothing and says that this is the end.
        assert os.read(fd, 100) == b""
    finally:
        os.close(fd)


def test_a_waiting_pop_can_be_interrupted(m):
    make(m, "q", "queue", value_size=4, max_entries=3)
    p = subprocess.Popen(["cat", m.p("maps/q/pop")])
    m.wait_parked(1)
    p.send_signal(signal.SIGINT)
    assert p.wait(WAIT) == -signal.SIGINT
    m.sh("echo 5 > $M/maps/q/push")
    assert m.read("maps/q/peek") == "5\n"


def test_each_value_goes_to_one_reader(m):
    make(m, "q", "queue", value_size=4, max_entries=100)
    readers = [read_later(m, "maps/q/pop")[1] for _ in range(8)]
    m.wait_parked(8)
    m.sh("for i in 0 1 2 3 4 5 6 7; do echo $i > $M/maps/q/push; done")
    assert sorted(int(done()) for done in readers) == list(range(8))


def test_queues_are_back(m, again):
    make(m, "q", "queue", value_size=4, max_entries=3)
    make(m, "s", "stack", value_size=4, max_entries=3)
    m.sh("cd $M/maps; for i in 1 2 3; do echo $i > q/push; echo $i > s/push; done; cat q/pop s/pop")
    again()
    assert m.out("cd $M/maps; cat q/pop q/pop s/pop s/pop").split() == ["2", "3", "2", "1"]


# ---------------------------------------------------------------- tries and filters

def test_longest_prefix(m, shell, again):
    make(m, "t", "lpm_trie", map_flags=1, key_size=8, value_size=4, max_entries=10)
    # 10/8, 10.1/16 and 10.1.2.3/32: the prefix length in host order, then the address; 8 bytes are a number.
    def key(bits, *address):
        return str(int.from_bytes(bits.to_bytes(4, "little") + bytes(address), "little"))
    m.sh("cd $M/maps/t/entries; echo 1 > %s; echo 2 > %s; echo 3 > %s" %
         (key(8, 10, 0, 0, 0), key(16, 10, 1, 0, 0), key(32, 10, 1, 2, 3)), shell=shell)
    for restarted in False, True:
        for address, want in (((10, 9, 9, 9), 1), ((10, 1, 9, 9), 2), ((10, 1, 2, 3), 3)):
            assert m.read("maps/t/entries", key(32, *address)) == "%d\n" % want
        assert not os.path.exists(m.p("maps/t/entries", key(32, 11, 0, 0, 1)))
        assert len(m.read("maps/t/dump").splitlines()) == 3
        if not restarted:
            again()


def test_a_filter(m, shell):
    make(m, "b", "bloom_filter", value_size=4, max_entries=100)
    m.sh("cd $M/maps/b; for i in 1 2 3; do echo $i > push; done; for i in 1 2 3; do echo $i > has; done", shell=shell)
    missed = sum(m.sh("echo %d > $M/maps/b/has" % n, check=False).returncode != 0 for n in range(100, 130))
    assert missed >= 28
    m.fails("echo 99 > $M/maps/b/has || echo 98 > $M/maps/b/has", "No such file or directory")
    assert "surely does not hold it" in m.log()
    assert "pop" not in os.listdir(m.p("maps/b")) and "dump" not in os.listdir(m.p("maps/b"))


# ---------------------------------------------------------------- maps of maps

def inner(m, name, entries=2):
    make(m, name, "array", value_size=8, max_entries=entries)


@pytest.mark.parametrize("type", ["array_of_maps", "hash_of_maps"])
def test_maps_in_maps(m, again, type):
    inner(m, "a")
    inner(m, "b")
    inner(m, "other", 3)
    make(m, "o", type)
    assert "inner_map" in os.listdir(m.p("maps/o"))
    if type == "hash_of_maps":
        m.sh("echo 4 > $M/maps/o/key_size")
    m.sh("cd $M/maps/o; echo 4 > max_entries; echo maps/a > inner_map")
    a, b = m.info("maps/a/info")["id"], m.info("maps/b/info")["id"]
    assert m.read("maps/o/inner_map") == a + "\n"
    m.sh("mkdir $M/pins; ln $M/maps/b/map $M/pins/b; cd $M/maps/o/entries; echo a > 0; echo pins/b > 2; echo %s > 3" % b)
    assert sorted(m.read("maps/o/dump").splitlines()) == ["0 " + a, "2 " + b, "3 " + b]
    m.fails("echo other > $M/maps/o/entries/1", "Invalid argument")
    assert "does not fit" in m.log()
    m.fails("echo nothing > $M/maps/o/entries/1", "No such file")
    m.sh("rm $M/maps/o/entries/3; echo 41 > $M/maps/b/entries/1")
    # The slot alone keeps it, and the template is needed no more.
    m.sh("rm -r $M/maps/b $M/maps/a $M/pins/b")
    for restarted in False, True:
        assert sorted(m.read("maps/o/dump").splitlines()) == ["0 " + a, "2 " + b]
        m.sh("ln $M/ids/map/%s $M/pins/%d" % (b, restarted))
        if not restarted:
            again()
    m.sh("rm -r $M/maps/o $M/pins $M/maps/other")
    wait_for(lambda: not m.objects(), "the maps to go")


def test_no_maps_of_maps_of_maps(m):
    inner(m, "a")
    make(m, "o", "array_of_maps", inner_map="a", max_entries=4)
    m.sh("mkdir $M/maps/p; echo array_of_maps > $M/maps/p/type; echo 4 > $M/maps/p/max_entries")
    m.fails("echo o > $M/maps/p/inner_map", "Invalid argument")


def test_another_users_map_is_no_inner_map(m):
    inner(m, "a")
    m.sh("chmod 600 $M/maps/a/map; chmod 777 $M/maps")
    m.sh("mkdir $M/maps/o; echo array_of_maps > $M/maps/o/type", user=USERS[0])
    m.fails("echo a > $M/maps/o/inner_map", "Permission denied", user=USERS[0])


def test_an_object_with_maps_in_maps(m, again):
    m.load("map_in_map")
    assert sorted(os.listdir(m.p("maps"))) == ["inner_a", "inner_b", "outer"]
    for restarted in False, True:
        run(m, "map_in_map", 60)
        run(m, "map_in_map", 62)
        for inner_map in "inner_a", "inner_b":
            assert m.read("maps", inner_map, "dump") == "0 %d\n" % (restarted + 1)
        if not restarted:
            again()
    # Another map for the running program.
    make(m, "c", "array", value_size=8, max_entries=1)
    m.sh("echo c > $M/maps/outer/entries/2")
    run(m, "map_in_map", 60)
    assert m.read("maps/c/dump") == "0 1\n"


# ---------------------------------------------------------------- ring buffers

def record(length, seq, data=bytes(16)):
    return (length.to_bytes(4, "little") + seq.to_bytes(4, "little") + data).hex(" ") + "\n"


def run(m, prog, length):
    return m.run(prog, "head -c %d /dev/zero" % length)


def test_records(m, again):
    m.load("ringbuf")
    assert sorted(os.listdir(m.p("maps/events"))) == sorted(
        "map type key_size value_size max_entries map_flags info stats records consumer ring".split())
    run(m, "reserve_submit", 60)
    run(m, "output", 61)
    run(m, "reserve_submit", 62)
    assert m.info("maps/events/stats")["entries"] == "80"
    again()  # what was not read is still there
    want = record(60, 0) + record(61, 77, b"") + record(62, 1)
    assert read_later(m, "maps/events/records")[1]() == want
    thread, done = read_later(m, "maps/events/records")
    m.wait_parked(1)
    assert thread.is_alive()
    run(m, "output", 50)
    assert done() == record(50, 77, b"")


def test_records_in_pieces_and_without_waiting(m):
    m.load("ringbuf")
    fd = os.open(m.p("maps/events/records"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(BlockingIOError):
            os.read(fd, 100)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert not poll.poll(0)
        run(m, "output", 50)
        assert poll.poll(WAIT * 1000)
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(fd, 5)
        assert text.decode() == record(50, 77, b"")
        assert not poll.poll(0)
    finally:
        os.close(fd)


def test_a_full_ring_refuses(m):
    m.load("ringbuf")
    for _ in range(300):
        run(m, "output", 60)
    lines = read_later(m, "maps/events/records", size=1 << 16)[1]().splitlines()
    assert len(lines) == 255  # 4096 bytes of 16-byte records, one of them short
    assert int(m.info("maps/events/stats")["failed_updates"]) == 45


# ---------------------------------------------------------------- dynptrs

def run_until_killed(path):
    with contextlib.suppress(OSError):  # the server is gone
        with open(path, "r+b", buffering=0) as f:
            f.write(bytes(60))
            f.read(100)


def packet_record(length, seq):
    size = min(length & ~7, 64)
    return (length.to_bytes(4, "little") + seq.to_bytes(4, "little") + bytes(size)).hex(" ") + "\n"


def test_records_of_any_size(m, again):
    m.load("dynptr")
    run(m, "packet_record", 20)
    run(m, "packet_record", 33)
    run(m, "packet_record", 900)
    again()
    want = packet_record(20, 0) + packet_record(33, 1) + packet_record(900, 2)
    assert read_later(m, "maps/events/records")[1]() == want
    assert "retval: 22\n" in run(m, "too_much", 60)  # EINVAL
    run(m, "packet_record", 60)  # what was not reserved holds nothing back
    assert read_later(m, "maps/events/records")[1]() == packet_record(60, 3)


def test_windows_of_a_value(m):
    m.load("dynptr")
    assert "retval: " in run(m, "windows", 100)
    words = bytes.fromhex(m.read("maps/values/entries/0"))
    assert [int.from_bytes(words[16 + 4 * i:20 + 4 * i], "little") for i in range(17)] == \
        [100 * (i + 1) for i in range(16)] + [0]


def test_killed_between_reserve_and_submit(m):
    m.expect("taking away")
    m.load("dynptr")
    m.sh("echo 65535 > $M/maps/rounds/entries/0")
    threading.Thread(target=run_until_killed, args=(m.p("progs/slow_record/run"),), daemon=True).start()
    # The records of 5 bytes, which is there, and of 8, which is not.
    wait_for(lambda: m.info("maps/slow_events/stats")["entries"] == "32", "the record that is not submitted")
    m.restart()
    m.sh("echo 0 > $M/maps/rounds/entries/0")
    run(m, "slow_record", 60)
    begin = b"begin".hex(" ") + "\n"
    assert read_later(m, "maps/slow_events/records")[1]() == begin + begin + bytes(8).hex(" ") + "\n"


def test_a_dynptr_that_leaks_is_refused(m):
    m.fails("cat $P/reject_dynptr_leak.bpf.o > $M/progs/new", "Invalid argument")
    assert "Unreleased reference" in m.read("progs/log")
    features = m.read("features")
    assert "ringbuf_reserve_dynptr" in features


def test_perf_events(m):
    m.load("perf_output")
    assert "records" in os.listdir(m.p("maps/events")) and "dump" not in os.listdir(m.p("maps/events"))
    assert "retval: 254" in run(m, "perf_output", 60)  # nobody reads: gone
    assert "retval: 254" in run(m, "perf_output", 60)
    fd = os.open(m.p("maps/events/records"), os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(BlockingIOError):
            os.read(fd, 100)
        run(m, "perf_output", 60)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(WAIT * 1000)
        cpu, data = os.read(fd, 4096).decode().split(" ", 1)
        assert cpu.startswith("cpu")
        assert data == "3c 00 00 00 00 00 00 00\n"
    finally:
        os.close(fd)


def test_a_leak_is_refused(m):
    m.fails("cat $P/reject_ringbuf_leak.bpf.o > $M/progs/new", "Invalid argument")
    assert "Unreleased reference" in m.read("progs/log")
    assert os.listdir(m.p("maps")) == []


# ---------------------------------------------------------------- the same by ioctl

def test_queues_and_filters_by_ioctl(m, lib):
    import ctypes
    import errno
    out = ctypes.c_uint64()
    for type, order in (22, [1, 2, 3]), (23, [3, 2, 1]):
        fd = lib.ubpfc_create_map(type, 0, 8, 3, 0)
        assert fd >= 0
        fails(errno.ENOENT, lib.ubpfc_lookup_elem(fd, None, ctypes.byref(out)))
        for n in 1, 2, 3:
            assert lib.ubpfc_update_elem(fd, None, u64(n), 0) == 0
        fails(errno.E2BIG, lib.ubpfc_update_elem(fd, None, u64(4), 0))
        for n in order:
            assert lib.ubpfc_lookup_elem(fd, None, ctypes.byref(out)) == 0 and out.value == n
            assert lib.ubpfc_lookup_and_delete_elem(fd, None, ctypes.byref(out)) == 0 and out.value == n
        fails(errno.ENOENT, lib.ubpfc_lookup_and_delete_elem(fd, None, ctypes.byref(out)))
        fails(errno.EINVAL, lib.ubpfc_delete_elem(fd, None))
        os.close(fd)
    fd = lib.ubpfc_create_map(30, 0, 8, 100, 0)
    assert lib.ubpfc_update_elem(fd, None, u64(7), 0) == 0
    assert lib.ubpfc_lookup_elem(fd, None, u64(7)) == 0
    fails(errno.ENOENT, lib.ubpfc_lookup_elem(fd, None, u64(8)))
    os.close(fd)


def test_slots_by_ioctl_use_the_openers_rights(m, lib):
    needs_root("becomes somebody else")
    import errno
    inner(m, "a")
    make(m, "o", "array_of_maps", inner_map="a", max_entries=4)
    id = int(m.info("maps/a/info")["id"])
    fd = os.open(m.p("maps/o/map"), os.O_RDWR)
    assert lib.ubpfc_update_elem(fd, u32(1), u32(id), 0) == 0
    fails(errno.ENOENT, lib.ubpfc_update_elem(fd, u32(1), u32(9999), 0))
    assert m.read("maps/o/dump") == "1 %d\n" % id
    m.sh("chmod 600 $M/maps/a/map; chmod 777 $M/maps/o; chmod 666 $M/maps/o/map")
    pid = os.fork()
    if not pid:
        ret = 9
        try:
            os.setgroups([])
            os.setgid(USERS[0])
            os.setuid(USERS[0])
            import ctypes
            fd = os.open(m.p("maps/o/map"), os.O_RDWR)
            ret = lib.ubpfc_update_elem(fd, u32(2), u32(id), 0)
            ret = ctypes.get_errno() if ret else 0
        finally:
            os._exit(ret)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == errno.EACCES
    os.close(fd)
    assert m.read("maps/o/dump") == "1 %d\n" % id
