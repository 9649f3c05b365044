"""
ubpfctl run: Debian's bpftool, command by command, by a table. Each line runs on a mount of root's, on one of an ordinary
user's and, where root may, on the running kernel: the same exit code everywhere, what -j prints parses and has the same
fields, and plain text is the same but for numbers. `prog tracelog` is test_tracelog(), maps are in test_run_bpf2.py, too.
"""
import json
import os
import re
import subprocess
import uuid

import pytest

from bpf2 import BPFTOOL, CTL, can_run, kernel_serves, tool
from conftest import PROGS, WAIT, as_user, wait_for
from test_run_cgroup import host_cgroups

pytestmark = pytest.mark.skipif(not BPFTOOL, reason="no bpftool here")

# $D: where pins go; $P: objects; $C: a cgroup; $W: files of the test; N: names that are nobody else's. After what the
# line prints is compared: = the text, its numbers as one; nothing: the exit code and, of -j, the fields.
TABLE = """
version
feature list_builtins map_types

= map create $D/a type array key 4 value 4 entries 2 name N
map show pinned $D/a
-j map show pinned $D/a
-j map show name N
= map dump pinned $D/a
= -j map dump pinned $D/a
= map update pinned $D/a key 0 0 0 0 value hex 01 02 03 04
= map lookup pinned $D/a key 0 0 0 0
= -j map lookup pinned $D/a key hex 00 00 00 00
= map lookup pinned $D/a key 9 0 0 0
= map delete pinned $D/a key 0 0 0 0
= map getnext pinned $D/a
= map getnext pinned $D/a key 1 0 0 0
= map pin pinned $D/a $D/a2
= map freeze pinned $D/a2
= map update pinned $D/a key 0 0 0 0 value 1 2 3 4
= map create $D/x type array key 8 value 4 entries 2 name N
= map create $D/x type nonsense key 4 value 4 entries 2 name N
= map create $D/outer type array_of_maps key 4 value 4 entries 2 name Nouter inner_map pinned $D/a
= map update pinned $D/outer key 0 0 0 0 value pinned $D/a
-j map dump pinned $D/outer
= map create $D/q type queue value 4 entries 1 name Nq
= map enqueue pinned $D/q value 1 2 3 4
= map enqueue pinned $D/q value 5 6 7 8
= -j map peek pinned $D/q
= map dequeue pinned $D/q
= map create $D/s type stack value 4 entries 2 name Ns
= map push pinned $D/s value 1 2 3 4
= map push pinned $D/s value 5 6 7 8
= map pop pinned $D/s
= -j map pop pinned $D/s
= map pop pinned $D/s
= map create $D/lpm type lpm_trie key 8 value 4 entries 4 name Nl flags 1
= map update pinned $D/lpm key 8 0 0 0 10 0 0 0 value 1 0 0 0
= map lookup pinned $D/lpm key 32 0 0 0 10 1 2 3
= map create $D/b type bloom_filter value 4 entries 4 name Nb
= map create $D/pa type prog_array key 4 value 4 entries 2 name Np
= map show id 4294967294
= map show pinned $D/nothing
= map help

= prog load $P/count_ports.bpf.o $D/p
= prog load $P/count_ports.bpf.o $D/p
prog show pinned $D/p
-j prog show pinned $D/p
prog list
-j prog show
prog dump xlated pinned $D/p linum
prog dump xlated pinned $D/p file $W/xlated
prog dump jited pinned $D/p file $W/jited
= prog dump xlated id 4294967294
= prog pin pinned $D/p $D/p2
= prog pin pinned $D/p $D/p2
= prog loadall $P/cgroup_filter.bpf.o $D/all pinmaps $D/maps
= map lookup pinned $D/maps/blocked key 80 0
= prog load $P/skeleton.bpf.o $D/mapped
= prog load $P/xdp_rewrite.bpf.o $D/xdp type xdp
= prog load $P/no_license.bpf.o $D/short
prog dump xlated pinned $D/short
-j prog dump xlated pinned $D/short
prog dump xlated pinned $D/short opcodes
prog dump xlated pinned $D/short visual
prog load $P/reject_null_check.bpf.o $D/rejected
prog load $P/no_license_gpl_helper.bpf.o $D/rejected
= prog load /nonexistent $D/rejected
= prog load $W/empty $D/rejected
prog run pinned $D/xdp data_in $W/packet
-j prog run pinned $D/xdp data_in $W/packet repeat 10
-j prog run pinned $D/xdp data_in $W/packet data_out $W/out
prog run pinned $D/xdp data_in $W/empty
= prog run pinned $D/xdp
= prog attach pinned $D/xdp flow_dissector
= prog attach pinned $D/xdp sk_msg_verdict id 1
= prog detach pinned $D/xdp sk_msg_verdict id 1
prog profile pinned $D/xdp duration 1 cycles
= map update pinned $D/pa key 1 0 0 0 value pinned $D/p
-j map dump pinned $D/pa
= prog show tag 0000000000000000
= prog show id 4294967294
= prog help

btf list
-j btf list
= btf dump file $P/count_ports.bpf.o
= btf dump file $P/count_ports.bpf.o format c
= -j btf dump file $P/count_ports.bpf.o
= btf dump prog pinned $D/p
= btf dump prog pinned $D/p format c
= btf dump map pinned $D/maps/blocked
= btf dump map pinned $D/a
= btf dump id 4294967294

= cgroup attach $C ingress pinned $D/all/filter_in multi
= cgroup attach $C ingress pinned $D/all/filter_in multi
= cgroup attach $C egress pinned $D/all/filter_out override
= cgroup attach $C ingress pinned $D/all/filter_out exclusive
= cgroup attach $C device pinned $D/all/filter_in
= cgroup attach $C ingress pinned $D/xdp
= cgroup show $C
-j cgroup show $C
= cgroup show $C/b
= -j cgroup show $C/b
= cgroup show $C/b effective
= cgroup show $C/nothing
-j cgroup tree $C
= cgroup detach $C ingress pinned $D/all/filter_in
= cgroup detach $C ingress pinned $D/all/filter_in
= cgroup detach $C egress pinned $D/all/filter_out
= cgroup show $C

link show
-j link show
= link show id 4294967294
= link detach id 4294967294
= link pin id 4294967294 $D/l
= perf show
= -j perf show
struct_ops list
= iter pin $P/count_ports.bpf.o $D/it

= gen skeleton $P/skeleton.bpf.o name skeleton
= gen object $W/linked.o $P/count_ports.bpf.o
-j batch file $W/batch
batch file $W/batch
= batch file $W/wrong
= nonsense
"""


def files(directory):
    """What the lines read, in a directory where everybody writes."""
    os.mkdir(directory)
    os.chmod(directory, 0o777)
    for name, data in (("packet", bytes(64)), ("empty", b""), ("batch", b"prog show\nmap show\nversion\n"),
                       ("wrong", b"map create /nowhere\nversion\n")):
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)
        os.chmod(os.path.join(directory, name), 0o666)


def shape(value):
    """The fields of a JSON document: lists of objects by what any of them has."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in sorted(value.items())}
    if isinstance(value, list):
        merged = {}
        for item in value:
            if isinstance(item, dict):
                merged.update(shape(item))
        return [merged] if merged else []
    return type(value).__name__


def plain(text, names):
    for name, word in names:
        text = text.replace(word, name)
    text = re.sub(r"0x[0-9a-f]+|\b[0-9]+\b", "0", text)
    return re.sub(r"[ \t]+", " ", text)


# What the kernel has and others of this machine have in it cannot be the same.
LISTS = re.compile(r"(-j )?(prog (list|show)|btf list|link show|map show name N|struct_ops list|-j batch.*|batch.*)$")


def run_table(run, names, where):
    results = []
    words = [(name, word) for name, word in names if name != "N"]
    unique = dict(names)["N"]
    for line in TABLE.strip().splitlines():
        if not line:
            continue
        same, command = line.startswith("= "), line[2:] if line.startswith("= ") else line
        args = command.split()
        args = [re.sub(r"^N", unique, a) if args[i - 1] == "name" else a for i, a in enumerate(args)]
        for name, word in words:
            args = [a.replace(name, word) for a in args]
        r = run(args)
        text = r.stdout + r.stderr
        assert r.returncode not in (-11, 139), (where, line, text)
        found = None
        if same:
            found = plain(text, names)
        elif args[0] == "-j" and not LISTS.match(command):
            found = shape(json.loads(r.stdout))
        elif args[0] == "-j":
            json.loads(r.stdout)
        results.append((line, r.returncode, found))
    return results


def compare(ours, theirs):
    for a, b in zip(ours, theirs):
        assert a == b, "%s\nhere:  %r\nthere: %r" % (a[0], a[1:], b[1:])


def on_mount(m):
    can_run(m)
    work = os.path.join(m.base, "work")
    files(work)
    c = m.p("cgroup/t" + uuid.uuid4().hex[:8])
    subprocess.run(["mkdir", "-p", c + "/b"], check=True, **as_user(m.user))
    unique = "n" + uuid.uuid4().hex[:8]
    pins = m.p("pins")
    subprocess.run(["mkdir", pins], check=True, **as_user(m.user))
    return run_table(lambda args: tool(m, *args), [("$D", pins), ("$P", PROGS), ("$C", c), ("$W", work), ("N", unique)],
                     "here")


roots = []  # what the table gave on a mount of root's


def test_table(m):
    ours = on_mount(m)
    roots[:] = [ours]
    codes = {line: code for line, code, _ in ours}
    assert codes["= prog load $P/count_ports.bpf.o $D/p"] == 255  # the second one
    if not kernel_serves() or not host_cgroups():
        return
    fs, c = os.path.join(m.base, "kernel"), os.path.join(host_cgroups(), "t" + uuid.uuid4().hex[:8])
    os.mkdir(fs)
    if subprocess.run(["mount", "-t", "bpf", "bpf", fs], capture_output=True).returncode:
        return
    os.makedirs(c + "/b")
    os.mkdir(fs + "/pins")
    try:
        unique = "n" + uuid.uuid4().hex[:8]
        compare(ours, run_table(lambda args: subprocess.run([BPFTOOL, *args], capture_output=True, text=True,
                                                            timeout=WAIT),
                                [("$D", fs + "/pins"), ("$P", PROGS), ("$C", c), ("$W", os.path.join(m.base, "work")),
                                 ("N", unique)], "there"))
    finally:
        subprocess.run(["umount", "-l", fs], check=True)
        os.rmdir(c + "/b")
        os.rmdir(c)


def test_table_of_an_ordinary_user(user_mount):
    """What root's mount gives an ordinary user's own gives, too."""
    theirs = on_mount(user_mount.start())
    if roots:
        compare(theirs, roots[0])


def test_feature_probe(m):
    """The probe says what M/features says."""
    can_run(m)
    r = tool(m, "-j", "feature", "probe")
    assert r.returncode == 0, r.stderr
    probed = json.loads(r.stdout)
    told = dict(line.rsplit(": ", 1) for line in m.read("features").splitlines())
    for kind in "prog", "map":
        for name, there in probed["%s_types" % ("program" if kind == "prog" else kind)].items():
            name = name.replace("have_", "").replace("_%s_type" % ("prog" if kind == "prog" else "map"), "")
            said = told.get("%s_type %s" % (kind, name), "no")
            assert there == (said == "yes"), (kind, name, there, said)
    checked = 0
    for key, found in probed["helpers"].items():
        prog_type = key.replace("_available_helpers", "")
        ours = {"bpf_" + line[len("helper "):] for line, types in told.items()
                if line.startswith("helper ") and prog_type in types.split()}
        if ours:
            # What prints, and what is privileged, is left out unless it is asked for in full.
            assert set(found) <= ours and ours - set(found) <= {"bpf_trace_printk", "bpf_trace_vprintk",
                                                               "bpf_probe_write_user"}, prog_type
            checked += 1
    assert checked >= 5


def test_tracelog(user_mount):
    m = user_mount.start()
    can_run(m)
    assert tool(m, "prog", "load", os.path.join(PROGS, "printing.bpf.o"), m.p("p")).returncode == 0
    packet = os.path.join(m.base, "packet")
    with open(packet, "wb") as f:
        f.write(bytes(64))
    os.chmod(packet, 0o644)
    out = os.path.join(m.base, "tracelog")
    with open(out, "w") as f:
        p = subprocess.Popen([CTL, "run", "-m", m.path, "--", BPFTOOL, "prog", "tracelog"], stdout=f, stderr=f, cwd="/",
                             **as_user(m.user))
    try:
        assert tool(m, "prog", "run", "pinned", m.p("p"), "data_in", packet).returncode == 0
        wait_for(lambda: "twelve 1 2 3" in open(out).read(), "what the program printed")
    finally:
        p.terminate()
        p.wait(WAIT)
