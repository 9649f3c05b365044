"""
The Python module: maps as dicts, loads with the log in the exception, test runs, ring buffers as iterators; the fixture that
gives a private server, as a project would use it.
"""
import errno
import os
import struct
import subprocess
import sys

import pytest

from conftest import BUILD, PROGS, ROOT, SERVER, USERS, WAIT, as_user, needs_root, wait_for

os.environ.setdefault("UBPFFS_CLIENT", os.path.join(BUILD, "libubpffs-client.so"))
os.environ.setdefault("UBPFFS_SERVER", SERVER)
sys.path.insert(0, os.path.join(ROOT, "python"))
import ubpffs  # noqa: E402

PACKET = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45]) + bytes(59)


@pytest.fixture
def mount(m):
    mount = ubpffs.Mount(m.path)
    yield mount
    mount.close()
    ubpffs._call("ubpfc_mount", None)


def test_maps_are_dicts(mount):
    h = mount.create_map(1, 4, 8, 100)
    h[1], h[2] = 10, 20
    assert (h[1], len(h), dict(h), 2 in h, 3 in h) == (10, 2, {1: 10, 2: 20}, True, False)
    assert h.get(3) is None and h.pop(2) == 20 and list(h) == [1]
    with pytest.raises(KeyError):
        h[2]
    with pytest.raises(KeyError):
        del h[2]
    with pytest.raises(OSError) as e:
        h.update(1, 5, flags=1)
    assert e.value.errno == errno.EEXIST
    with pytest.raises(ValueError):
        h[1] = b"short"
    h.value_format = "II"
    h[7] = (3, 4)
    assert h[7] == (3, 4)
    h.freeze()
    with pytest.raises(OSError) as e:
        h[1] = (1, 1)
    assert e.value.errno == errno.EPERM
    many = mount.create_map(1, 4, 4, 5000)
    for i in range(3000):
        many[i] = i
    assert dict(many.items()) == {i: i for i in range(3000)}


def test_other_maps(mount):
    q = mount.create_map(22, 0, 4, 2)
    q.push(5)
    q.push(6)
    assert (q.pop_value(), q.pop_value()) == (5, 6)
    with pytest.raises(IndexError):
        q.pop_value()
    p = mount.create_map(6, 4, 4, 1)
    p[0] = 3
    assert set(p[0]) == {3} and len(p[0]) >= 1
    b = mount.create_map(1, 6, 6, 1)
    b[b"abcdef"] = b"ghijkl"
    assert dict(b) == {b"abcdef": b"ghijkl"}


def test_paths_of_any_bytes(mount):
    h = mount.create_map(1, 4, 4, 10)
    h[1] = 7
    os.mkdir(os.path.join(mount.path, "pins"))
    for name in ("a\nb", "\udcff\udcfe", b"\xfe\n", "\N{SNOWMAN}"):
        path = b"pins/" + os.fsencode(name)
        mount.pin(h, path)
        assert mount.map(path)[1] == 7 and mount.map(os.fsdecode(path))[1] == 7
        os.unlink(os.path.join(os.fsencode(mount.path), path))
    for bad in ("pins/cut\0off", b"pins/cut\0off"):
        with pytest.raises(ValueError):
            mount.pin(h, bad)
        with pytest.raises(ValueError):
            mount.map(bad)
    assert not os.path.exists(os.path.join(mount.path, "pins/cut"))
    with pytest.raises(ValueError):
        ubpffs.Mount(mount.path + "\0x")
    assert ubpffs.Mount(os.fsencode(mount.path)).path == mount.path


def test_loads(mount):
    loaded = mount.load(os.path.join(PROGS, "count_ports.bpf.o"))
    assert sorted(loaded.progs) == ["count_ports"] and sorted(loaded.maps) == ["by_port", "by_proto"]
    run = loaded.progs["count_ports"].run(PACKET, repeat=3)
    assert run == loaded.progs["count_ports"].run(PACKET)._replace(duration_ns=run.duration_ns) and run.data
    assert "processed" in loaded.progs["count_ports"].log
    assert mount.map("by_port").id == loaded.maps["by_port"].id
    mount.pin(loaded.progs["count_ports"], "pin")
    assert mount.prog("./pin").id == loaded.progs["count_ports"].id
    with pytest.raises(ubpffs.LoadError) as e:
        mount.load(os.path.join(PROGS, "reject_ringbuf_leak.bpf.o"))
    assert e.value.errno == errno.EINVAL and "reference" in e.value.log
    with pytest.raises(ubpffs.LoadError) as e:
        mount.load(b"no object")
    assert e.value.errno == errno.ENOEXEC


def test_ring_buffers(mount):
    loaded = mount.load(os.path.join(PROGS, "skeleton.bpf.o"))
    records = loaded.maps["events"].records(timeout=1)
    for size in 60, 100:
        loaded.progs["count"].run(PACKET[:14] + bytes([0x45]) + bytes(size - 1))
    assert [struct.unpack("II", next(records)) for _ in range(2)] == [(1, 60), (2, 100)]
    loaded.progs["count"].run(PACKET[:14] + bytes([0x45]) + bytes(79))
    assert [struct.unpack("II", r) for r in records] == [(3, 80)]


TEST_OF_A_PROJECT = '''
import os

def test_mine(ubpffs_mount):
    loaded = ubpffs_mount.load(os.environ["OBJECT"])
    assert loaded.progs["count_ports"].run(bytes(64)).retval == 0
    loaded.maps["by_port"][80] = bytes(16)
    assert 80 in loaded.maps["by_port"]

def test_another(ubpffs_mount):
    assert os.listdir(ubpffs_mount.path + "/maps") == []
'''


def test_the_fixture(tmp_path):
    project(tmp_path, None)


def test_the_fixture_of_an_ordinary_user(tmp_path, user_mount):
    needs_root("acts as somebody else")
    project(tmp_path, USERS[0])


def project(tmp_path, user):
    """As in a project of its own: the plugin by its name, no root."""
    base = tmp_path / "project"
    base.mkdir()
    (base / "test_mine.py").write_text(TEST_OF_A_PROJECT)
    module = base / "lib"
    subprocess.run(["cp", "-r", os.path.join(ROOT, "python"), module], check=True)
    for p in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(p, 0o755)
    subprocess.run(["chmod", "-R", "a+rX", tmp_path], check=True)
    env = dict(os.environ, PYTHONPATH=str(module), OBJECT=os.path.join(PROGS, "count_ports.bpf.o"), HOME="/nonexistent")
    r = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "ubpffs.pytest_plugin",
                        "--rootdir", str(base), str(base / "test_mine.py")],
                       capture_output=True, text=True, timeout=3 * WAIT, env=env, cwd="/", **as_user(user))
    assert "2 passed" in r.stdout, r.stdout + r.stderr


def test_links_and_bindings(mount, m):
    loaded = mount.load(os.path.join(PROGS, "cgroup_verdicts.bpf.o"))
    allow, deny = loaded.progs["allow"], loaded.progs["deny"]
    os.mkdir(m.p("cgroup/a"))
    effective = lambda: m.read("cgroup", "a", "egress.effective")  # noqa: E731
    with allow.attach(m.p("cgroup/a")) as link:
        assert effective().startswith("allow ")
        link.update(deny, old=allow)
        assert effective().startswith("deny ")
        with pytest.raises(OSError) as e:
            link.update(allow, old=allow)
        assert e.value.errno == errno.EPERM
        mount.pin(link, "link")
    assert effective().startswith("deny ")
    os.unlink(m.p("link"))
    wait_for(lambda: effective() == "", "the link to go")
    bound = mount.create_map(1, 4, 8, 10)
    number = bound.id
    allow.bind(bound)
    bound.close()
    assert os.path.exists(m.p("ids/map", str(number)))
