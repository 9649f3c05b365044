"""ubpfctl: what people read, and what scripts read (-j, -p)."""
import json
import os
import subprocess

import pytest

from conftest import BUILD, WAIT

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
