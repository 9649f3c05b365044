"""Some of the N-th failures (failnth.py has the loop, and does them all), and what they once lost."""
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import conftest
import failnth
from conftest import Mount, detach, needs_root

sys.path.insert(0, os.path.join(conftest.ROOT, "tests", "fuzz"))
import fuzz_start  # noqa: E402

pytestmark = pytest.mark.skipif(bool(os.environ.get("UBPFFS_SAN")), reason="a sanitizer has an allocator of its own")

OPERATIONS = ["load global_data", "map array_of_maps", "pin over a pin", "cgroup", "attach", "detach", "event source"]


@pytest.fixture
def loop():
    base = tempfile.mkdtemp(prefix="ubpffs-failnth-")
    m = Mount(base, base)
    try:
        yield failnth.Loop(m, os.path.join(base, "page"), True)
    finally:
        m.take_away()
        shutil.rmtree(base, ignore_errors=True)


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "and-on"])
def test_operations(loop, sticky):
    loop.until = time.monotonic() + (3 if sticky else 4)  # a loaded machine tries fewer
    loop.operations(failnth.TRIED, OPERATIONS[:1] if sticky else OPERATIONS, sticky)
    assert not loop.problems, "\n".join(loop.problems)


def test_starts(loop):
    loop.until = time.monotonic() + 4
    loop.starts(failnth.TRIED)
    assert not loop.problems, "\n".join(loop.problems)


def test_starts_without_memory(loop):
    """From some allocation on there is none: each start serves or is refused with a sentence, and none aborts."""
    loop.until = time.monotonic() + 8
    loop.starts(["alloc"], sticky=True)
    assert not loop.problems, "\n".join(loop.problems)


@pytest.mark.parametrize("kind", ["stat", "name"])
def test_a_cgroup_that_could_not_be_taken_back_can_be_removed(loop, kind):
    """What fails from some point of a mkdir on fails while it is taken back: the directory is there, and rmdir removes it."""
    m = loop.m
    loop.start()
    assert loop.serving() is None
    new = m.p("cgroup", "new")
    count = loop.page.count(kind, lambda: os.mkdir(new))
    os.rmdir(new)
    for n in range(1, count + 1):
        loop.page.arm(kind, n, sticky=True)
        try:
            os.mkdir(new)
        except OSError:
            pass
        loop.page.disarm()
        failnth.remove(new)
        os.mkdir(new)
        assert failnth.read(os.path.join(new, "egress.attach")) == b""
        os.rmdir(new)
    m.kill()


def test_files_that_could_not_be_removed_go_at_the_next_start(loop):
    """An unlink that fails never leaves a companion without its object: a start removes the rest."""
    m = loop.m
    loop.start()
    assert loop.serving() is None
    before = set(os.listdir(m.p("progs")))

    def unload():
        for name in set(os.listdir(m.p("progs"))) - before:
            failnth.remove(m.p("progs", name))
    objects = os.path.join(m.state, "objects")
    empty = set(os.listdir(objects))

    def removed():
        unload()
        while set(os.listdir(objects)) != empty:
            time.sleep(0.01)
    failnth.load(m, "global_data")
    assert any(name.endswith(".btf") for name in os.listdir(objects))
    for n in range(1, loop.page.count("name", removed) + 1):
        failnth.load(m, "global_data")
        loop.page.arm("name", n)
        try:
            unload()
        except OSError:
            pass
        end = time.monotonic() + 10
        while loop.page.fired() == 0 and time.monotonic() < end:
            time.sleep(0.01)
        loop.page.disarm()
        unload()
    m.kill()
    m.start()
    assert set(os.listdir(objects)) == empty
    assert "belongs to no object" not in m.errors()
    m.kill()


@pytest.mark.parametrize("kind", ["stat", "name"])
def test_a_refused_load_leaves_no_name(loop, kind):
    """What fails from some point of a load on fails while it is rolled back, too: the next load is not in its way."""
    m = loop.m
    loop.start()
    assert loop.serving() is None
    names = {directory: set(os.listdir(m.p(directory))) for directory in ("progs", "maps")}

    def unload():
        for name in set(os.listdir(m.p("progs"))) - names["progs"]:
            failnth.remove(m.p("progs", name))
    failnth.load(m, "map_in_map")
    unload()
    count = loop.page.count(kind, lambda: failnth.load(m, "map_in_map"))
    unload()
    for n in range(max(1, count - 14), count + 1):
        loop.page.arm(kind, n, sticky=True)
        try:
            failnth.load(m, "map_in_map")
        except OSError:
            pass
        loop.page.disarm()
        unload()
        failnth.load(m, "map_in_map")
        unload()
        assert {directory: set(os.listdir(m.p(directory))) for directory in names} == names, n
    m.kill()


@pytest.mark.parametrize("kind", ["open", "stat", "name"])
def test_a_map_that_an_error_kept_goes_with_the_next_load(loop, kind):
    """A load's map could not be removed with its program: no restart is needed."""
    m = loop.m
    loop.start()
    assert loop.serving() is None
    prog = m.p("progs", "count_ports")

    def unlink():
        os.unlink(os.path.join(prog, "prog"))
    failnth.load(m, "count_ports")
    count = loop.page.count(kind, unlink)
    os.rmdir(prog)
    for n in range(1, count + 1):
        failnth.load(m, "count_ports")
        loop.page.arm(kind, n, sticky=True)
        try:
            unlink()
        except OSError:
            pass
        loop.page.disarm()
        failnth.remove(prog)
    failnth.load(m, "count_ports")
    failnth.remove(prog)
    assert not os.listdir(m.p("maps"))
    m.kill()


def test_what_cannot_be_looked_at_is_not_absent(loop):
    """A failing stat is told as itself, and a map whose names could not be counted goes once they can be."""
    m = loop.m
    loop.start()
    assert loop.serving() is None
    failnth.make_map(m, "h", "hash", **failnth.MAPS["hash"])
    entry = m.p("maps", "h", "entries", "1")
    failnth.write(entry, "5\n", os.O_WRONLY | os.O_CREAT)
    for n in range(1, loop.page.count("stat", lambda: failnth.read(entry)) + 1):
        loop.page.arm("stat", n, sticky=True)
        try:
            failnth.read(entry)
        except OSError as e:
            assert e.errno == errno.EIO, n
        loop.page.disarm()

    def make():
        failnth.make_map(m, "new", "array", **failnth.MAPS["array"])
    count = loop.page.count("stat", make)
    failnth.remove(m.p("maps", "new"))
    ids = os.listdir(m.p("ids", "map"))
    for n in range(max(1, count - 12), count + 1):
        loop.page.arm("stat", n, sticky=True)
        try:
            make()
        except OSError:
            pass
        loop.page.disarm()
        failnth.remove(m.p("maps", "new"))
    make()
    failnth.remove(m.p("maps", "new"))
    conftest.wait_for(lambda: os.listdir(m.p("ids", "map")) == ids, "the maps to go")
    m.kill()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_an_aborted_connection_is_an_ordered_end(loop, n):
    """At a read or at a reply: the server ends with 0 and has nothing to say."""
    needs_root("reads the device itself")
    m = loop.m
    loop.start()
    assert loop.serving() is None
    loop.page.arm("device", n, sticky=True)
    clients = [subprocess.Popen(["ls", "-l", m.path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]
    try:
        assert m.proc.wait(conftest.WAIT) == 0
        assert not m.errors().strip(), m.errors()
    finally:
        loop.page.disarm()
        if m.proc.poll() is None:
            m.kill()
        for client in clients:
            client.wait(conftest.WAIT)
    m.proc = None
    detach(m.path)
    m.start()
    m.kill()


def test_a_refused_start_says_why(loop):
    """Also when there is no memory for the first of its options."""
    loop.start(injected=False)
    loop.m.kill()
    for n in range(1, 12):
        said = len(loop.m.errors())
        loop.page.arm("alloc", n)
        loop.start()
        if loop.serving() is not None:
            assert loop.m.errors()[said:].strip(), n
        else:
            loop.m.kill()
        loop.page.disarm()


def test_no_second_server_when_the_mounts_cannot_be_read(loop):
    """What cannot be read is not taken for a mount point without a server."""
    m = loop.m
    m.start()
    other = m.state + ".other"
    for kind, count in ("open", 6), ("alloc", 40):
        for n in range(1, count):
            loop.page.arm(kind, n)
            run = subprocess.run([conftest.SERVER, "-f", "-o", "state=" + other, m.path], capture_output=True, text=True,
                                 env={**os.environ, **loop.page.environment()}, timeout=60)
            loop.page.disarm()
            assert run.returncode == 1 and run.stderr.strip(), (kind, n, run)
    m.kill()


def test_what_is_no_file_is_never_opened(loop):
    """A FIFO would be waited for: each start ends or serves, says what it met, and leaves it."""
    m = loop.m
    loop.start(injected=False)
    failnth.prepare(m)
    failnth.load(m, "global_data")
    m.kill()
    saved = m.state + ".saved"
    subprocess.run(["cp", "-a", m.state, saved], check=True)
    files = [os.path.relpath(os.path.join(path, name), saved) for path, _, names in os.walk(saved) for name in names]
    files += ["objects/999", "pending/x", "tree/events/t/.ended", "tree/progs", "objects", "tree/cgroup/x"]
    kinds = set()
    for file in files:
        kind = re.sub(r"[0-9]+", "N", file) if file.startswith("objects/") else os.path.basename(file)
        if kind in kinds:
            continue
        kinds.add(kind)
        shutil.rmtree(m.state)
        subprocess.run(["cp", "-a", saved, m.state], check=True)
        path = os.path.join(m.state, file)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        os.mkfifo(path)
        said = len(m.errors())
        m.start(check=False)
        code = loop.serving()
        if code is None:
            for name in os.listdir(m.p("maps")):
                for attribute in "info", "dump":
                    try:
                        failnth.read(m.p("maps", name, attribute))
                    except OSError:
                        pass
            m.kill()
        else:
            assert code == 1 and m.errors()[said:].strip(), (file, code)
        assert os.path.lexists(path), file
        if file.startswith("objects/"):
            assert m.errors()[said:].strip(), file


def test_a_new_state_on_a_full_filesystem():
    """Without room for the state the start is refused with a sentence; with some, it serves."""
    needs_root("mounts a small filesystem")
    base = tempfile.mkdtemp(prefix="ubpffs-full-")
    small = os.path.join(base, "small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode:
        os.rmdir(small)
        os.rmdir(base)
        pytest.skip("tmpfs cannot be mounted")
    m = Mount(base, small)
    loop = failnth.Loop(m, os.path.join(base, "page"), True)
    try:
        with open(os.path.join(small, "fill"), "wb", buffering=0) as f:
            with pytest.raises(OSError):
                while True:
                    f.write(bytes(4096))
        m.start(check=False)
        assert loop.serving() == 1
        assert "No space left on device" in m.errors(), m.errors()
        os.unlink(os.path.join(small, "fill"))
        m.start()
        failnth.make_map(m, "h", "hash", **failnth.MAPS["hash"])
        m.kill()
    finally:
        m.take_away()
        detach(small)
        shutil.rmtree(base, ignore_errors=True)


def test_a_read_only_state_is_refused(loop):
    """With path, rule and remedy, whether the state is there or not; nothing is changed."""
    needs_root("mounts a small filesystem")
    m = loop.m
    where = os.path.join(m.base, "small")
    os.mkdir(where)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted")
    m.state = os.path.join(where, "state")
    try:
        m.start()
        failnth.make_map(m, "h", "hash", **failnth.MAPS["hash"])
        m.umount()
        subprocess.run(["mount", "-o", "remount,ro", where], check=True)
        for state, words in (m.state, "read-write, or name another state"), (m.state + "2", "Read-only file system"):
            m.state = state
            said = len(m.errors())
            m.start(check=False)
            assert loop.serving() == 1
            assert state in m.errors()[said:] and words in m.errors()[said:], m.errors()
        subprocess.run(["mount", "-o", "remount,rw", where], check=True)
        m.state = os.path.join(where, "state")
        m.start()
        assert os.listdir(m.p("maps")) == ["h"]
        m.kill()
    finally:
        m.take_away()
        detach(where)


def test_another_users_state_is_refused(loop):
    needs_root("gives files away")
    m = loop.m
    m.start()
    m.kill()
    os.chown(m.state, conftest.USERS[0], conftest.USERS[0])
    m.start(check=False)
    assert loop.serving() == 1
    assert "user %d's" % conftest.USERS[0] in m.errors() and m.state in m.errors(), m.errors()
    os.chown(m.state, 0, 0)
    m.start()
    m.kill()


def test_a_map_whose_load_is_not_known_keeps_its_name(loop):
    """Not ids of programs that are gone, but a torn page: a start may not take it for a map that nobody needs."""
    m = loop.m
    m.start()
    failnth.load(m, "count_ports")
    failnth.write(m.p("maps", "by_proto", "entries", "3"), "7\n", os.O_WRONLY | os.O_CREAT)
    m.kill()
    file = os.path.join(m.state, "tree", "maps", "by_proto", ".load")
    ids = failnth.read(file)
    for text in b"", bytes(len(ids)), b"\n", ids[:-1], b"%n" + ids, b"-1\n":
        with open(file, "wb") as f:
            f.write(text)
        m.start()
        assert failnth.read(m.p("maps", "by_proto", "entries", "3")) == b"7\n", text
        m.kill()
    assert "keeps its name" in m.errors()


def test_kills_in_the_middle_of_a_start(loop):
    """A start that is killed at any moment loses nothing."""
    m = loop.m
    m.start()
    failnth.prepare(m)
    want = failnth.snapshot(m)
    m.kill()
    begin = time.monotonic()
    m.start()
    span = time.monotonic() - begin
    m.kill()
    for i in range(12):
        m.start(check=False)
        time.sleep(span * i / 10)
        m.kill()
        m.start()
        assert not failnth.difference(want, failnth.snapshot(m)), i
        m.kill()


@pytest.mark.parametrize("flags", [1, conftest.MNT_DETACH], ids=["force", "lazy"])
def test_an_unmount_with_clients(loop, flags):
    """The server ends in order while clients run, wait and read, and the state is whole."""
    needs_root("unmounts by force")
    m = loop.m
    m.start()
    failnth.prepare(m)
    failnth.load(m, "endless")
    failnth.write(m.p("maps", "go", "entries", "0"), "1\n")
    want = failnth.snapshot(m)
    scripts = ["exec 3<>$M/progs/endless_loop/run; head -c 64 /dev/zero >&3; cat <&3", "cat $M/trace_pipe",
               "while cat $M/maps/h/dump; do :; done"]
    clients = [subprocess.Popen(["sh", "-c", script], env=dict(os.environ, M=m.path), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, cwd="/", start_new_session=True) for script in scripts]
    try:
        m.wait_parked(1)
        m.wait_busy()
        detach(m.path, flags)  # by force: EBUSY, and the connection has ended all the same
        if flags == conftest.MNT_DETACH:  # goes on as long as somebody uses it
            for client in clients:
                os.killpg(client.pid, signal.SIGKILL)
        assert m.proc.wait(conftest.WAIT) == 0
        assert not m.errors().strip(), m.errors()
    finally:
        for client in clients:
            try:
                os.killpg(client.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            client.wait(conftest.WAIT)
    while m.mounted() and detach(m.path):
        pass
    m.proc = None
    m.start()
    assert not failnth.difference(want, failnth.snapshot(m))
    m.kill()


def test_damaged_states(loop):
    """A moment of tests/fuzz/fuzz_start.py."""
    fuzz = fuzz_start.Fuzz(loop)
    fuzz.make()
    end = time.monotonic() + 4
    for seed in range(12):
        if time.monotonic() < end:
            fuzz.one(seed)
