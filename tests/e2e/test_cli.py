"""ubpfctl: what people read, and what scripts read (-j, -p)."""
import contextlib
import json
import os
import pty
import re
import select
import struct
import subprocess
import time

import pytest

from conftest import BUILD, PROGS, ROOT, WAIT

CTL = os.path.join(BUILD, "ubpfctl")
MAKE = "mkdir $M/maps/%s; cd $M/maps/%s; for w in %s; do echo ${w#*:} > ${w%%:*}; done"


class Ctl:
    def __init__(self, m):
        self.m = m

    def run(self, *args, check=0, **kwargs):
        r = subprocess.run([CTL, "-m", self.m.path, *map(str, args)], capture_output=True, text=True, timeout=WAIT, **kwargs)
        assert check is None or r.returncode == check, (args, r.returncode, r.stdout, r.stderr)
        return r

    def out(self, *args):
        return self.run(*args).stdout

    def json(self, *args):
        """What -j prints, and -p says the same."""
        want, pretty = self.out("-j", *args), self.out(*args, "-p")
        assert json.loads(want) == json.loads(pretty) and want.count("\n") == 1
        return json.loads(want)

    def fails(self, *args, code=1):
        """The sentence: what failed and what to do; nothing half-said on standard output."""
        r = self.run(*args, check=code)
        assert r.stderr
        return r.stderr


@pytest.fixture
def ctl(m):
    return Ctl(m)


def make(m, name, *words):
    m.sh(MAKE % (name, name, " ".join(words)))


HASH = "type:hash", "key_size:4", "value_size:8", "max_entries:3"


def test_elements(m, ctl):
    make(m, "h", *HASH)
    ctl.run("update", "h", 443, 7)
    ctl.run("update", "h", "key", "hex", "50", "0", "0", "0", "value", "0x9", 0, 0, 0, 0, 0, 0, 0)
    ctl.run("update", "h", 443, 8, "exist")
    assert "noexist" in ctl.fails("update", "h", 443, 9, "noexist")
    assert "there is no such key" in ctl.fails("update", "h", 444, 9, "exist")
    assert ctl.out("lookup", "h", 443) == "key: 443  value: 8\n"
    assert ctl.json("lookup", "h", "0x1bb") == {"key": ["0xbb", "0x01", "0x00", "0x00"],
                                               "value": ["0x08"] + ["0x00"] * 7}
    assert sorted(ctl.out("dump", "h").splitlines()) == ["Found 2 elements", "key: 443  value: 8", "key: 80  value: 9"]
    assert len(ctl.json("dump", "h")) == 2
    ctl.run("delete", "h", 80)
    assert "there is no such key" in ctl.fails("delete", "h", 80)
    ctl.run("update", "h", "10.0.0.1", 1)
    ctl.run("update", "h", -1, 1)
    assert "larger max_entries" in ctl.fails("update", "h", 5, 1)
    assert m.out("cat $M/maps/h/entries/4294967295") == "1\n"


def test_elements_without_a_name(m, ctl):
    make(m, "h", *HASH)
    m.sh("mkdir $M/app; ln $M/maps/h/map $M/app/pin; echo 5 > $M/maps/h/entries/1")
    number = m.info("maps/h/info")["id"]
    for words in ["h"], ["name", "h"], ["app/pin"], [m.p("app/pin")], ["pinned", m.p("app/pin")], ["id", number], [number], \
            [m.p("maps/h")], ["maps/h"]:
        assert ctl.out("lookup", *words, 1) == "key: 1  value: 5\n"
    m.sh("rm -r $M/maps/h")
    assert "(id %s)" % number in ctl.out("list", "maps")
    assert ctl.json("list", "maps")[0]["bytes_key"] == 4


def test_per_cpu_and_tries_and_queues(m, ctl):
    make(m, "p", "type:percpu_hash", "key_size:4", "value_size:8", "max_entries:3")
    ctl.run("update", "p", 1, 7)
    values = ctl.json("lookup", "p", 1)["values"]
    assert [v["cpu"] for v in values] == list(range(len(values))) and values[0]["value"][0] == "0x07"
    assert ctl.out("dump", "p").splitlines()[0] == "key: 1  cpu: 0  value: 7"
    make(m, "t", "type:lpm_trie", "map_flags:1", "key_size:8", "value_size:4", "max_entries:3")
    ctl.run("update", "t", "10.0.0.0/8", 5)
    assert ctl.out("dump", "t").startswith('key: "10.0.0.0/8"  value: 5\n')
    make(m, "q", "type:queue", "value_size:4", "max_entries:3")
    m.sh("echo 5 > $M/maps/q/push")
    assert ctl.out("dump", "q") == "5\n" and "push" in ctl.fails("update", "q", 1, 2)


def test_typed_elements(m, ctl):
    """By the object's types, both ways; a member that is not said keeps what it was."""
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    ctl.run("update", "by_port", 80, '{"packets":5}')
    ctl.run("update", "by_port", 80, '{"bytes":7}')
    assert [e["formatted"] for e in ctl.json("dump", "by_port")] == [{"key": 80, "value": {"packets": 5, "bytes": 7}}]
    assert ctl.out("lookup", "by_port", 80) == 'key: 80  value: {"packets":5,"bytes":7}\n'
    assert "packet" in ctl.fails("update", "by_port", 80, '{"packet":5}')
    assert "16 bytes" in ctl.fails("update", "by_port", 80, 5)


def test_lists(m, ctl):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new; mkdir $M/progs/v2; cat $P/count_ports.bpf.o > $M/progs/v2/new")
    progs = ctl.json("list", "progs")
    assert len(progs) == 2 and {p["name"] for p in progs} == {"count_ports"}
    assert sorted(p["pinned"] for p in progs) == [[m.p("progs/count_ports/prog")], [m.p("progs/v2/count_ports/prog")]]
    assert {"id", "type", "name", "tag", "gpl_compatible", "loaded_at", "uid", "bytes_xlated", "jited", "bytes_memlock",
            "map_ids"} <= set(progs[0])
    lines = ctl.out("list", "progs").splitlines()
    assert [line.split()[0] for line in lines] == ["progs", "count_ports", "v2/count_ports"]
    assert any(line.startswith("v2/") for line in ctl.out("list", "maps").splitlines())
    assert ctl.json("show", "prog", "v2/count_ports")["pinned"] == [m.p("progs/v2/count_ports/prog")]
    assert "tag" in ctl.out("show", "prog", "count_ports")
    ctl.fails("-j", "list", code=2)


def code(text):
    return [line for line in text.splitlines() if not line.startswith(";")]


def test_code(m, ctl):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    text = ctl.out("prog", "dump", "xlated", "count_ports")
    assert "\n; " in text and text.startswith("count_ports:\n") and ": (95) exit" in text
    assert code(text) == code(m.read("progs/count_ports/xlated"))
    assert any("src" in line for line in ctl.json("prog", "dump", "xlated", "count_ports"))
    if "jit: yes" in m.read("features") and m.info("progs/count_ports/info")["jited_bytes"] != "0":
        assert "\n; " in ctl.out("prog", "dump", "jited", "count_ports")
        assert ctl.json("prog", "dump", "jited", "count_ports")[0]["name"] == "count_ports"


def test_types(m, ctl):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    assert "struct" in ctl.out("btf", "dump", "prog", "count_ports")
    types = ctl.json("btf", "dump", "prog", "count_ports")["types"]
    assert types[0]["id"] == 1 and {"INT", "PTR"} <= {t["kind"] for t in types}
    make(m, "h", *HASH)
    assert "clang -g" in ctl.fails("btf", "dump", "map", "h")


def test_cgroups(m, ctl):
    m.sh("cat $P/cgroup_verdicts.bpf.o > $M/progs/new; mkdir -p $M/cgroup/a/b; echo allow > $M/cgroup/a/egress.attach")
    assert ctl.out("cgroup", "tree") == ("cgroup\n  a\n    egress   allow  id %s  override\n    b\n"
                                         % m.info("progs/allow/info")["id"])
    assert "from a" in ctl.out("cgroup", "tree", "effective", "a/b")
    tree = {c["cgroup"]: c["programs"] for c in ctl.json("cgroup", "tree")}
    assert tree[m.p("cgroup/a")][0]["attach_type"] == "cgroup_inet_egress" and tree[m.p("cgroup/a/b")] == []
    ctl.fails("cgroup", "tree", "nosuch")


def test_replay_and_bench(m, ctl, tmp_path):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    pcap = tmp_path / "x.pcap"
    frame = bytes(12) + b"\x08\x00" + bytes(46)
    pcap.write_bytes(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) +
                     (struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame) * 5)
    for name in "push", "replay":
        assert "packets: 5\n" in ctl.out(name, "count_ports", pcap)
        assert json.loads(ctl.out("-j", name, "count_ports", pcap))["packets"] == 5
    assert json.loads(ctl.out("-j", "bench", "-n", 100, "count_ports"))["repeat"] == 100
    assert "ns a run" in ctl.out("bench", "-n", 100, "count_ports", pcap)
    assert "nosuch" in ctl.fails("bench", "nosuch")


def test_events(m, ctl):
    m.sh("cat $P/event_packets.bpf.o > $M/progs/new; mkdir $M/events/t; cd $M/events/t; echo timer > type")
    assert ctl.json("events")[0]["missing"] == "interval_ms"
    m.sh("cd $M/events/t; echo 50000 > interval_ms; echo tick > attach")
    (source,) = ctl.json("events")
    assert source["state"] == "running" and source["program"] == "tick" and source["type"] == "timer"
    assert "running" in ctl.out("events")


def test_top(m, ctl):
    m.sh("cat $P/event_packets.bpf.o > $M/progs/new; mkdir $M/events/t; cd $M/events/t; echo timer > type\n"
         "echo 1 > interval_ms; echo tick > attach")
    lines = ctl.out("top", "--json", "-d", "0.5", "-n", 3).splitlines()
    rows = [{p["name"]: p for p in json.loads(line)["programs"]} for line in lines]
    assert len(rows) == 3 and any(row["tick"]["runs_per_second"] > 0 and row["tick"]["ns_per_run"] > 0 for row in rows)
    assert "--json" in ctl.fails("top") and "seconds" in ctl.fails("top", "-d", "x")


def test_top_on_a_terminal(m):
    pid, fd = pty.fork()
    if not pid:
        os.environ["TERM"] = "xterm"
        os.execv(CTL, [CTL, "-m", m.path, "top", "-d", "0.2"])
    text, end = b"", time.monotonic() + WAIT
    while b"PROGRAM" not in text and time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            text += os.read(fd, 65536)
    os.write(fd, b"rq")
    with contextlib.suppress(OSError):
        while os.read(fd, 65536):
            pass
    assert os.waitpid(pid, 0)[1] == 0 and b"PROGRAM" in text
    os.close(fd)


def test_doctor(m, ctl):
    checks = {c["name"]: c for c in json.loads(ctl.run("-j", "doctor").stdout)}
    assert checks["fuse"]["ok"] and checks["mounted"]["ok"]
    assert all(c.get("found" if c["ok"] else "remedy") for c in checks.values())
    assert "\033" not in ctl.run("doctor").stdout


def test_flame_of_a_process(m, ctl, tmp_path):
    """-p PID 1s leaves nothing behind; two of them make a picture of what changed."""
    burn = subprocess.Popen([os.path.join(BUILD, "examples/burn"), "60"], stdout=subprocess.DEVNULL)
    try:
        r = ctl.run("flame", "-p", burn.pid, "--folded", "1s", check=None)
        if r.returncode and "paranoid" in r.stderr:
            pytest.skip("perf_event_paranoid forbids samples of processes here: " + r.stderr)
        assert r.returncode == 0 and ";work" in r.stdout, r.stderr
        (tmp_path / "a").write_text(r.stdout)
        (tmp_path / "b").write_text(r.stdout + "burn;new_function 100000\n")
        picture = ctl.out("flame", "-p", burn.pid, "-F", 99, "500ms")
        assert picture.startswith("<?xml") and "</svg>" in picture
        assert m.out("ls $M/maps $M/events $M/progs") == "%s:\n\n%s:\n\n%s:\nlog\nnew\n" % tuple(
            m.p(d) for d in ("events", "maps", "progs"))
        diff = ctl.out("flame", "--diff", tmp_path / "a", tmp_path / "b")
        assert "new_function" in diff and "rgb(255,75,75)" in diff and "rgb(75,75,255)" in diff
        assert "--folded" in ctl.fails("flame", "--diff", os.devnull, tmp_path / "b")
    finally:
        burn.kill()
        burn.wait()
    assert "no process" in ctl.fails("flame", "-p", 4194304, "1s")
    assert m.out("ls $M/maps $M/events") == "%s:\n\n%s:\n" % (m.p("events"), m.p("maps"))


@pytest.mark.parametrize("args", [("metrics",), ("completion", "bash"), ("flame", "--diff", "F", "F"), ("events",)])
def test_a_full_standard_output_is_a_failure(m, ctl, tmp_path, args):
    (tmp_path / "folded").write_text("a;b 3\n")
    args = [str(tmp_path / "folded") if a == "F" else a for a in args]
    with open("/dev/full", "w") as full:
        r = subprocess.run([CTL, "-m", m.path, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=WAIT)
    assert r.returncode == 1 and "ubpfctl: standard output: " in r.stderr


def test_every_command_has_help(ctl):
    """An example each; completion offers it; the reference has it."""
    names = [line.split()[0] for line in ctl.out("help").splitlines() if line.startswith("  ") and not line.startswith("   ")]
    assert {"load", "list", "show", "dump", "lookup", "update", "delete", "prog", "btf", "cgroup", "apply", "top"} <= set(names)
    with open(os.path.join(ROOT, "docs/reference.md")) as f:
        reference = f.read()
    for name in names:
        text = ctl.out("help", name)
        assert "example:\n    ubpfctl" in text and ctl.out(name, "--help") == text
        assert re.search(r"`%s\b" % name, reference), name
        for shell in "bash", "zsh", "fish":
            assert name in ctl.out("completion", shell)
        assert ctl.run(name, "--no-such-option", check=None).returncode in (1, 2, 127)


def test_names_are_completed(m):
    make(m, "ports", *HASH)
    m.sh("mkdir $M/progs/v2; cat $P/count_ports.bpf.o > $M/progs/v2/new")
    script = ('PATH=%s:$PATH; eval "$(ubpfctl completion bash)"; COMP_WORDS=(ubpfctl -m %s %%s); COMP_CWORD=%%d; _ubpfctl; '
              'echo "${COMPREPLY[@]}"' % (BUILD, m.path))
    assert m.out(script % ("dump po", 4)) == "ports\n"
    assert m.out(script % ("prog dump xlated v", 6)) == "v2/count_ports\n"
    assert m.out(script % ("lookup ke", 4)) == "key\n"


def test_json_of_what_prints_nothing(m, ctl, tmp_path):
    make(m, "h", *HASH)
    for args in ["update", "h", 1, 5], ["delete", "h", 1], ["load", os.path.join(PROGS, "trace.bpf.o")], \
            ["filter", "udp", "udp"], ["load", os.path.join(PROGS, "count_ports.bpf.o")]:
        if args[0] != "load" or os.path.exists(args[1]):
            assert ctl.out("-j", *args) == "null\n"
    assert ctl.out("-j", "trace", "-n") == ""
