"""ubpfctl apply and export: a directory says what a mount holds; all of it or nothing, and many mounts one by one."""
import configparser
import glob
import json
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, PROGS, ROOT, WAIT, Mount, make_base

CTL = os.path.join(BUILD, "ubpfctl")
ROLL = os.path.join(ROOT, "examples/fleet/roll.sh")


def ctl(m, *args, check=0):
    r = subprocess.run([CTL, "-m", m.path, *map(str, args)], capture_output=True, text=True, timeout=WAIT * 3)
    assert check is None or r.returncode == check, (args, r.returncode, r.stdout, r.stderr)
    return r


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


@pytest.fixture
def tree(tmp_path):
    """allow on egress of cgroup a/b, a map, a source that runs."""
    d = str(tmp_path / "v1")
    os.makedirs(d + "/progs")
    shutil.copy(os.path.join(PROGS, "cgroup_verdicts.bpf.o"), d + "/progs/verdicts.bpf.o")
    shutil.copy(os.path.join(PROGS, "event_packets.bpf.o"), d + "/progs/events.bpf.o")
    for name, value in ("type", "hash"), ("key_size", 4), ("value_size", 8), ("max_entries", "0x10"), ("dump", "1 5"):
        write("%s/maps/ports/%s" % (d, name), "%s\n" % value)
    write(d + "/cgroup/a/b/egress.attach", "# who may send\nverdicts/allow multi\nverdicts/deny multi\n")
    write(d + "/cgroup/a/ingress.attach", "verdicts/allow\n")
    for name, value in ("type", "timer"), ("interval_ms", 50000), ("attach", "events/tick"):
        write("%s/events/clock/%s" % (d, name), "%s\n" % value)
    return d


def variant(tree, name, obj="verdicts", bump="int x = 1;"):
    """The same with another version of an object: other constants make one."""
    d = os.path.join(os.path.dirname(tree), name)
    shutil.copytree(tree, d)
    with open("%s/progs/%s.bpf.o" % (d, obj), "ab") as f:
        f.write(bump.encode())  # behind the end of an ELF nothing counts
    return d


def attached(m, cgroup, kind):
    names = {}
    for dirpath, dirs, files in os.walk(m.p("progs")):
        if "prog" in files:
            names[m.info(os.path.relpath(dirpath, m.path) + "/info")["id"]] = os.path.basename(dirpath)
    lines = m.read("cgroup", *cgroup.split("/"), kind + ".attach").split("\n")
    return [names.get(line.split()[0], line.split()[0]) for line in lines if line]


def versions(m):
    return sorted(n for n in os.listdir(m.p("progs")) if "@" in n)


def test_apply(m, tree):
    plan = ctl(m, "apply", "-n", tree).stdout
    assert "make map ports" in plan and versions(m) == [] and not os.path.exists(m.p("applied"))
    assert {s["action"] for s in json.loads(ctl(m, "apply", "-n", "-j", tree).stdout)} >= {"make", "load", "attach", "run"}
    assert ctl(m, "apply", tree).stdout == plan
    assert attached(m, "a/b", "egress") == ["allow", "deny"] and attached(m, "a", "ingress") == ["allow"]
    assert m.read("maps/ports/dump") == "1 5\n" and m.info("events/clock/stats")["state"] == "running"
    assert ctl(m, "apply", tree).stdout == "nothing to do\n"
    assert ctl(m, "-j", "apply", tree).stdout == "[]\n"


def test_only_what_changed_is_replaced(m, tree):
    ctl(m, "apply", tree)
    m.sh("echo 77 > $M/maps/ports/entries/9; mkdir $M/maps/mine; cat $P/count_ports.bpf.o > $M/progs/new")
    before = versions(m)
    v2 = variant(tree, "v2")
    out = ctl(m, "apply", v2).stdout
    assert "replace" in out and "events" not in out
    after = versions(m)
    assert len(after) == 2 and len(set(before) & set(after)) == 1
    assert attached(m, "a/b", "egress") == ["allow", "deny"] and attached(m, "a", "ingress") == ["allow"]
    assert m.read("maps/ports/entries/9") == "77\n" and os.path.exists(m.p("progs/count_ports"))
    shutil.rmtree(v2 + "/cgroup/a/b")
    shutil.rmtree(v2 + "/maps")
    shutil.rmtree(v2 + "/events")
    os.remove(v2 + "/progs/events.bpf.o")
    ctl(m, "apply", v2)
    assert not os.path.exists(m.p("cgroup/a/b")) and not os.path.exists(m.p("maps/ports")) and os.listdir(m.p("events")) == []
    assert len(versions(m)) == 1 and os.path.exists(m.p("maps/mine"))
    assert ctl(m, "apply", v2).stdout == "nothing to do\n"


def test_what_cannot_be_read_is_not_absent(m, tree, tmp_path):
    """A directory in a file's place is an error: nothing is detached, no map is made without its entries."""
    ctl(m, "apply", tree)
    before = state(m)
    for name in "cgroup/a/b/egress.attach", "maps/ports/type", "maps/ports/max_entries", "events/clock/attach":
        v2 = variant(tree, "v2")
        os.unlink(v2 + "/" + name)
        os.mkdir(v2 + "/" + name)
        r = ctl(m, "apply", v2, check=1)
        assert v2 + "/" + name + ": Is a directory" in r.stderr and state(m) == before, (name, r.stderr)
        shutil.rmtree(v2)
    v2 = variant(tree, "v2")
    os.rename(v2 + "/maps/ports", v2 + "/maps/more")
    os.unlink(v2 + "/maps/more/dump")
    os.mkdir(v2 + "/maps/more/dump")
    assert "nothing was changed" in ctl(m, "apply", v2, check=1).stderr and state(m) == before


def state(m):
    return (versions(m), m.read("cgroup/a/b/egress.attach"), m.read("cgroup/a/ingress.attach"), sorted(os.listdir(m.p("maps"))),
            m.info("events/clock/stats")["state"], sorted(os.listdir(m.p("applied"))))


@pytest.mark.parametrize("fault", ["object", "attach", "source", "constants", "map"])
def test_all_or_nothing(m, tree, fault):
    ctl(m, "apply", tree)
    before = state(m)
    v2 = variant(tree, "v2")
    write(v2 + "/maps/another/type", "array\n")
    write(v2 + "/cgroup/c/egress.attach", "verdicts/deny\n")
    if fault == "object":
        shutil.copy(os.path.join(PROGS, "../../examples/unsafe.bpf.o"), v2 + "/progs/unsafe.bpf.o")
    elif fault == "attach":
        write(v2 + "/cgroup/z/egress.attach", "verdicts/nosuch\n")
    elif fault == "source":
        write(v2 + "/events/clock/attach", "verdicts/allow\n")
    elif fault == "constants":
        write(v2 + "/progs/verdicts.constants", "nosuch 5\n")
    else:
        write(v2 + "/maps/ports/value_size", "4\n")
    r = ctl(m, "apply", v2, check=1)
    assert state(m) == before
    assert {"object": "unsafe", "attach": "nosuch", "source": "events/clock/attach", "constants": "nosuch",
            "map": "value_size is 8 here and 4 there"}[fault] in r.stderr
    assert not os.path.exists(m.p("cgroup/c")) and not os.path.exists(m.p("maps/another"))
    shutil.rmtree(v2)


def test_export(m, tree, tmp_path):
    ctl(m, "apply", tree)
    out = str(tmp_path / "out")
    ctl(m, "export", out)
    assert ctl(m, "apply", "-n", out).stdout == "nothing to do\n"
    assert "not empty" in ctl(m, "export", out, check=1).stderr
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    assert "count_ports" in ctl(m, "export", str(tmp_path / "more"), check=1).stderr


def test_a_rolling_change_over_ten_mounts(tree):
    """The seventh refuses: all ten have the old version, and go on."""
    bases, mounts = [], []
    try:
        for _ in range(10):
            bases.append(make_base("/tmp"))
            os.mkdir(os.path.join(bases[-1], "s"))
            mounts.append(Mount(bases[-1], os.path.join(bases[-1], "s")))
            mounts[-1].start()
        v2, paths = variant(tree, "v2"), [m.path for m in mounts]
        write(v2 + "/maps/shared/type", "hash\n")
        for name, size in ("key_size", 4), ("value_size", 8), ("max_entries", 16):
            write(v2 + "/maps/shared/" + name, "%d\n" % size)
        env = dict(os.environ, UBPFCTL=CTL)

        def roll(new, old):
            return subprocess.run(["sh", ROLL, new, old, *paths], capture_output=True, text=True, env=env, timeout=WAIT * 6)
        empty = os.path.join(os.path.dirname(tree), "empty")
        os.mkdir(empty)
        assert roll(tree, empty).returncode == 0
        old = [versions(m) for m in mounts]
        assert all(v == old[0] and len(v) == 2 for v in old)
        mounts[6].sh("cd $M/maps; mkdir shared; cd shared; echo array > type; echo 4 > key_size; echo 8 > value_size; "
                     "echo 2 > max_entries")
        r = roll(v2, tree)
        assert r.returncode == 1 and mounts[6].path + ": failed" in r.stderr and "type is array here" in r.stderr
        assert r.stdout.count(": has ") == 6
        assert [versions(m) for m in mounts] == old
        assert all(attached(m, "a/b", "egress") == ["allow", "deny"] for m in mounts)
        mounts[6].sh("rm -r $M/maps/shared")
        assert roll(v2, tree).returncode == 0
        assert all(versions(m) != old[0] and len(versions(m)) == 2 for m in mounts)
        for m in mounts:
            m.end()
    finally:
        for m in mounts:
            m.take_away()
        for base in bases:
            shutil.rmtree(base, ignore_errors=True)


def test_the_units_and_the_manifest():
    """systemd and YAML parsers take them; each command in them is one that there is."""
    fleet, monitoring = os.path.join(ROOT, "examples/fleet"), os.path.join(ROOT, "examples/monitoring")
    commands = subprocess.run([CTL, "help"], capture_output=True, text=True, check=True).stdout
    for name in glob.glob(fleet + "/*.service") + glob.glob(monitoring + "/*.service"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str
        unit.read(name)
        words = unit["Service"]["ExecStart"].split()
        assert words[0] == "/usr/bin/ubpfctl" and "\n  %s " % words[3] in commands
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")
    with open(fleet + "/daemonset.yaml") as f:
        pod = yaml.safe_load(f)["spec"]["template"]["spec"]
    volumes = {v["name"] for v in pod["volumes"]}
    for c in pod["containers"]:
        assert {v["name"] for v in c["volumeMounts"]} <= volumes
        assert c["command"][0] in ("ubpffs", "ubpfctl")
