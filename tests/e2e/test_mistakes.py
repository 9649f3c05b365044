"""
The mistakes that people are most likely to make: each is refused with an exit status, and what stands on standard error,
in M/log or in progs/log names the remedy.
"""
import os
import re

import pytest

from conftest import BUILD

MAKE = "mkdir $M/maps/%s; cd $M/maps/%s; for w in %s; do echo ${w#*:} > ${w%%:*} || exit 1; done"
PROGS = "cat $P/count_ports.bpf.o > $M/progs/new;"
EVENTS = "cat $P/event_packets.bpf.o > $M/progs/new;"
CGROUP = "mkdir $M/cgroup/app; cat $P/cgroup_verdicts.bpf.o > $M/progs/new;"
SOURCE = "mkdir $M/events/s; cd $M/events/s;"
HASH = MAKE % ("h", "h", "type:hash key_size:4 value_size:8 max_entries:1") + "; echo 1 > $M/maps/h/entries/1;"
ARRAY = MAKE % ("a", "a", "type:array key_size:4 value_size:8 max_entries:2") + ";"
QUEUE = MAKE % ("q", "q", "type:queue value_size:8 max_entries:1") + ";"

# What goes before and works; the mistake; what the remedy says.
MISTAKES = [
    # loading
    ("", "cat $X/examples/unsafe.bpf.o > $M/progs/new", "progs/log has the rest"),
    (PROGS, "cat $P/count_ports.bpf.o > $M/progs/new", r"remove it \(rm -r\), rename it"),
    ("", "echo hello > $M/progs/new", "clang -O2 -g -target bpf -c"),
    ("", "cp /bin/true $M/progs/new", "no eBPF object.*clang -O2 -g -target bpf -c"),
    ("", "head -c 600 $P/count_ports.bpf.o > $M/progs/new", "600 bytes were written and more belong to it"),
    ("", "(echo type nosuch; cat $P/count_ports.bpf.o) > $M/progs/new", "features has those that there are"),
    ("", r"printf '1\n6 0 0\n' > $M/progs/new", "an instruction is four numbers"),
    ("mkdir $M/progs/v2; echo nosuch 5 > $M/progs/v2/constants", "cat $P/count_ports.bpf.o > $M/progs/v2/new",
     "no variable nosuch in .rodata"),
    ("", "mkdir \"$M/progs/v 3\"", "no blanks"),
    ("", "$C load /nosuch.bpf.o", "compile it: clang"),
    ("", "$C load $M/README", "what clang -O2 -g -target bpf -c makes"),
    # maps
    ("mkdir $M/maps/x", "echo hsah > $M/maps/x/type", "`cat features` lists those"),
    ("", MAKE % ("y", "y", "type:array key_size:8 value_size:8 max_entries:2"), "key_size is 4"),
    ("", MAKE % ("z", "z", "type:lpm_trie key_size:8 value_size:8 max_entries:2"), r"must hold 1 \(BPF_F_NO_PREALLOC\)"),
    ("", MAKE % ("r", "r", "type:ringbuf max_entries:1000"), "a power of two, and whole pages"),
    (HASH, "echo 4 > $M/maps/h/key_size", "make another one"),
    (HASH, "echo 5 > $M/maps/h/entries/3", "remove some, or make one with a larger max_entries"),
    (HASH, "echo x > $M/maps/h/entries/1", "a number that fits into 8 bytes"),
    (HASH, "echo 99999999999999999999 > $M/maps/h/entries/1", "a number that fits into 8 bytes"),
    (HASH, "echo 5 > $M/maps/h/entries/foo", "a number of 4 bytes, as `ls` shows them"),
    (ARRAY, "echo 5 > $M/maps/a/entries/2", "keys go from 0 to 1"),
    (ARRAY, "rm $M/maps/a/entries/1", "write 0"),
    (QUEUE, "cat $M/maps/q/peek", "`cat pop` waits"),
    (QUEUE + "echo 1 > push", "echo 1 > $M/maps/q/push", "larger max_entries"),
    ("", "touch $M/foo", "mkdir in maps/ makes a map, writing an object to progs/new a program, ln a pin"),
    (PROGS + "mkdir $M/pins; ln $M/progs/count_ports/prog $M/pins/p", "cp $M/pins/p $T/", "ln it, or mv it within the mount"),
    (HASH, "$C lookup nosuch 1", "there are: h"),
    (HASH, "$C lookup h x", "write 5, 0x5 or '05 00 00 00'"),
    (HASH, "$C lookup h 77", "ubpfctl dump shows"),
    (HASH, "$C update h 9 9", "delete some, or make it with a larger max_entries"),
    (HASH, "$C update h 1", "update MAP KEY VALUE"),
    (HASH, "$C update h 5000000000 1", "at most 4294967295"),
    (ARRAY, "$C delete a 1", "update it to 0"),
    (ARRAY, "$C lookup a 9", "2 elements, from 0 on"),
    (QUEUE, "$C update q 1 1", "push, pop and dump"),
    (HASH, "$C btf dump map h", "clang -g"),
    # cgroups
    (CGROUP, "echo nosuch > $M/cgroup/app/egress.attach", "a name in progs/, a path in the mount, or an id"),
    (CGROUP, "echo allow both > $M/cgroup/app/egress.attach", "override, multi, exclusive"),
    (CGROUP, "echo 1 > $M/cgroup/app/cgroup.procs", "-o enforce"),
    (CGROUP + "mkdir $M/cgroup/app/b", "rmdir $M/cgroup/app", "rmdir those first"),
    # events
    (SOURCE, "echo tick > $M/events/s/type", "there are perf pcap timer"),
    (CGROUP + SOURCE + "echo timer > type; echo 10 > interval_ms", "echo allow > $M/events/s/attach",
     "a timer source runs perf_event or socket_filter"),
    (EVENTS + SOURCE + "echo perf > type; echo cpu-clock > event; echo 99 > freq; echo 4194303 > pid",
     "echo tick > $M/events/s/attach", "there is no process 4194303"),
    (EVENTS + SOURCE + "echo pcap > type; echo /nosuch.pcap > file", "echo keep_udp > $M/events/s/attach", "/nosuch.pcap: No such file"),
    (EVENTS + SOURCE + "echo timer > type; echo 50000 > interval_ms; echo tick > attach", "echo 9 > $M/events/s/interval_ms",
     "an empty line to attach|stop"),
    # the client
    ("", "$C nosuch", "there are: load"),
    (PROGS, "$C show prog nosuch", r"there are: count_ports \(ubpfctl list progs\)"),
    (PROGS, "$C push nosuch x.pcap", "there are: count_ports"),
    (PROGS, "$C push count_ports /nosuch.pcap", "/nosuch.pcap: No such file"),
    ("", "$C filter x 'udp prot 53'", "man pcap-filter"),
    (HASH, "$C flame nosuch", "there are: h"),
    ("", "$C flame -p 4194303 1s", "there is no process"),
    ("", "$C top < /dev/null | cat; exit ${PIPESTATUS[0]}", "--json"),
    ("", "$C -j completion bash", "prints no JSON"),
    ("", "$C apply /nosuch", "it holds progs/NAME.bpf.o"),
    ("", "$C metrics --listen nosuch", "ADDRESS:PORT"),
    ("", "$X/ubpfctl -m /tmp list", "start one there: ubpffs /tmp"),
    ("", "echo five > $M/limits/usage || echo five > $M/limits/default/jobs", "a number, none, or default"),
]


@pytest.mark.parametrize("row", range(len(MISTAKES)))
def test_the_error_names_the_remedy(m, row, monkeypatch):
    before, mistake, remedy = MISTAKES[row]
    if "limits" in mistake and os.geteuid():
        pytest.skip("only root sets limits")
    monkeypatch.setenv("C", os.path.join(BUILD, "ubpfctl") + " -m " + m.path)
    monkeypatch.setenv("X", BUILD)
    m.sh("set -e; " + before)
    r = m.sh(mistake, check=False)
    said = r.stderr + m.log()
    assert r.returncode != 0 and re.search(remedy, said), said
