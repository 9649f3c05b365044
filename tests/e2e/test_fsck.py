"""
ubpfctl fsck: a state that nobody serves is checked, and repaired.
"""
import json
import os
import subprocess

import pytest

from conftest import BUILD, SERVER, WAIT

CLEAN, REPAIRED, LEFT, ERROR = 0, 1, 4, 8


def fsck(state, *options):
    r = subprocess.run([os.path.join(BUILD, "ubpfctl"), "fsck", *options, state], capture_output=True, text=True, timeout=WAIT)
    assert "anitizer" not in r.stderr, r.stderr
    return r


def problems(state, *options):
    """The exit status, and what each file's remedy is."""
    r = fsck(state, "-j", *options)
    found = json.loads(r.stdout)
    assert found["found"] == len(found["problems"]) and found["left"] == sum(p["left"] for p in found["problems"])
    return r.returncode, {(p["path"], p["rule"]): p["remedy"] for p in found["problems"]}


def content(state):
    """Everything in it."""
    out = {}
    for path, directories, names in os.walk(state):
        for name in directories + names:
            file = os.path.join(path, name)
            st = os.lstat(file)
            data = None
            if os.path.isfile(file):
                with open(file, "rb") as f:
                    data = f.read()
            out[file] = st.st_mode, st.st_ino, st.st_mtime_ns, data
    return out


@pytest.fixture
def state(m):
    """A map and two programs with their maps; who is it that has which file."""
    m.load("count_ports")
    m.load("cgroup_filter")
    m.sh("mkdir $M/pins && ln $M/maps/by_port/map $M/pins/p")
    m.sh("mkdir $M/maps/a; cd $M/maps/a; echo hash > type; echo 4 > key_size; echo 8 > value_size; echo 10 > max_entries;"
         "echo 5 > entries/1; mkdir $M/cgroup/g; echo filter_in > $M/cgroup/g/ingress.attach")
    m.umount()
    return m.state


def object_of(state, name):
    """The path of the object that has this name."""
    ino = os.lstat(os.path.join(state, "tree", name)).st_ino
    objects = os.path.join(state, "objects")
    return next("objects/" + n for n in os.listdir(objects) if os.lstat(os.path.join(objects, n)).st_ino == ino)


def damage(state, path, at):
    with open(os.path.join(state, path), "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0xff]))


def test_a_sound_state_is_clean(state):
    for options in ("-n",), ():
        assert fsck(state, *options).returncode == CLEAN


def test_damage_is_said_and_moved(state, m):
    prog, used = object_of(state, "progs/filter_in/prog"), object_of(state, "maps/by_port/map")
    damage(state, prog, 300)
    damage(state, used, 30)
    os.mkdir(os.path.join(state, "objects", "770"))
    for stray in "objects/771.values", "tree/pins/stray":
        with open(os.path.join(state, stray), "w"):
            pass
    user = object_of(state, "progs/count_ports/prog")  # of the damaged map
    want = {(prog, "program"), (used, "map"), (user, "program"), ("objects/770", "foreign"), ("objects/771.values", "companion"),
            ("tree/pins/stray", "name"), ("tree/cgroup/./g/.ingress.000000.override", "attachments")}
    before = content(state)
    status, found = problems(state, "-n")
    assert status == LEFT and {k for k in found if k[1] != "attachments"} == {k for k in want if k[1] != "attachments"}
    assert content(state) == before
    status, found = problems(state)
    assert {remedy for (_, rule), remedy in found.items() if rule != "attachments"} == {"moved to lost+found"}
    lost = os.listdir(os.path.join(state, "lost+found"))
    for path in prog, used, user, "770", "771.values", "stray":
        assert os.path.basename(path) in lost and os.path.basename(path) + ".reason" in lost
    with open(os.path.join(state, "lost+found", os.path.basename(used) + ".reason")) as f:
        text = f.read()
    assert "name: maps/by_port/map\nname: pins/p\n" in text and "reason: " in text
    fsck(state)
    assert problems(state) == (CLEAN, {})
    m.start()
    assert m.read("maps/a/entries/1") == "5\n"
    assert m.names()[1] == ["a", *sorted(n for n in m.names()[1] if n != "a")]
    assert "count_ports" not in m.names()[0] and os.listdir(m.p("pins")) == []


def test_what_a_kill_left_is_put_right(state):
    os.mkdir(os.path.join(state, "pending", "900"))
    os.close(os.open(os.path.join(state, "objects", "901"), os.O_CREAT, 0o600))
    assert problems(state, "-n") == (LEFT, {("objects/901", "unneeded"): "would be repaired"})
    assert problems(state) == (REPAIRED, {("objects/901", "unneeded"): "repaired"})
    assert problems(state) == (CLEAN, {})




def test_json_wherever_it_is_asked_for(state):
    """Before the command and among its arguments, as often as anybody likes."""
    once = fsck(state, "-j").stdout
    assert json.loads(once)["found"] == 0 and fsck(state, *["-j"] * 20).stdout == once
    r = subprocess.run([os.path.join(BUILD, "ubpfctl"), "-j", "fsck", state], capture_output=True, text=True, timeout=WAIT)
    assert (r.returncode, r.stdout) == (CLEAN, once)


def test_what_is_served_or_no_state_is_refused(m, tmp_path):
    r = fsck(m.state)
    assert r.returncode == ERROR and "process %d" % m.server() in r.stderr
    assert fsck(m.state, "-n").returncode == ERROR
    for path in str(tmp_path), str(tmp_path / "nothing"):
        r = fsck(path)
        assert r.returncode == ERROR and "no state directory" in r.stderr
    assert not os.listdir(tmp_path)
    assert subprocess.run([os.path.join(BUILD, "ubpfctl"), "fsck"], capture_output=True).returncode == 2
    r = subprocess.run([SERVER, "-o", "fsck=repair"], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == ERROR and "state=DIR" in r.stderr


def test_a_state_of_a_later_version_is_not_touched(state):
    with open(os.path.join(state, "version"), "w") as f:
        f.write("99 99\n")
    before = content(state)
    assert fsck(state).returncode == ERROR
    del before[os.path.join(state, "lock")]
    after = content(state)
    del after[os.path.join(state, "lock")]
    assert after == before
