"""
ubpfctl run: Debian's bpftool with a mount in place of the kernel's BPF. Where root may, the same commands run on the
running kernel, and have the same exit codes and print the same.
"""
import json
import os
import subprocess
import uuid

import pytest

from bpf2 import BPFTOOL, can_run, kernel_serves, tool, under_run
from conftest import PROGS, USERS, WAIT, needs_root

pytestmark = pytest.mark.skipif(not BPFTOOL, reason="no bpftool here")


# One script: $D is where pins go, N what the maps are called.
MAP_COMMANDS = """
map create $D/h type hash key 4 value 8 entries 4 name N
map update pinned $D/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
map update pinned $D/h key 1 0 0 0 value 9 2 3 4 5 6 7 8 noexist
map update pinned $D/h key 2 0 0 0 value 9 2 3 4 5 6 7 8 exist
-j map lookup pinned $D/h key 1 0 0 0
-j map dump pinned $D/h
-j map getnext pinned $D/h
-j map getnext pinned $D/h key 1 0 0 0
map delete pinned $D/h key 1 0 0 0
map delete pinned $D/h key 1 0 0 0
map lookup pinned $D/h key 1 0 0 0
-j map dump name N
map pin name N $D/again
map freeze pinned $D/again
map update pinned $D/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
map create $D/q type queue value 4 entries 2 name Nq
map push pinned $D/q value 1 2 3 4
map push pinned $D/q value 5 6 7 8
map push pinned $D/q value 5 6 7 8
-j map peek pinned $D/q
-j map pop pinned $D/q
-j map dequeue pinned $D/q
map pop pinned $D/q
map create $D/p type percpu_array key 4 value 4 entries 2 name Np
map update pinned $D/p key 0 0 0 0 value 1 0 0 0
-j map dump pinned $D/p
map create $D/none type hash key 4 value 8 entries 0 name N
map lookup pinned $D/nothing key 1 0 0 0
map create $D/h type hash key 4 value 8 entries 4 name N
"""


def map_commands(run, directory, name):
    results = []
    for line in MAP_COMMANDS.strip().splitlines():
        args = [a.replace("$D", directory).replace("N", name) for a in line.split()]
        r = run(args)
        if r.returncode == 0 and args[0] == "-j":
            json.loads(r.stdout)
        results.append((line, r.returncode, (r.stdout + r.stderr).replace(directory, "$D")))
    return results


def check_by_themselves(results):
    codes = {line: code for line, code, _ in results}
    texts = {line: text for line, _, text in results}
    assert codes["map create $D/h type hash key 4 value 8 entries 4 name N"] != 0  # the last one: it is there
    assert results[0][1] == 0, results[0]
    assert json.loads(texts["-j map lookup pinned $D/h key 1 0 0 0"])["value"] == \
        ["0x%02x" % i for i in range(1, 9)]
    assert json.loads(texts["-j map dump name N"]) == []
    assert codes["map freeze pinned $D/again"] == 0
    assert codes["map update pinned $D/h key 1 0 0 0 value 1 2 3 4 5 6 7 8"] != 0  # frozen, the second time
    assert len(json.loads(texts["-j map dump pinned $D/p"])) == 2


def test_map_commands(m):
    can_run(m)
    name = "r" + uuid.uuid4().hex[:8]
    ours = map_commands(lambda args: tool(m, *args), m.path, name)
    check_by_themselves(ours)
    if not kernel_serves():
        return  # nothing to compare with
    fs = os.path.join(m.base, "kernel")
    os.mkdir(fs)
    if subprocess.run(["mount", "-t", "bpf", "bpf", fs], capture_output=True).returncode:
        return
    try:
        theirs = map_commands(lambda args: subprocess.run([BPFTOOL, *args], capture_output=True, text=True,
                                                          timeout=WAIT), fs, name)
    finally:
        subprocess.run(["umount", "-l", fs], check=True)
    assert ours == theirs


def test_map_commands_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    check_by_themselves(map_commands(lambda args: tool(m, *args), m.path, "usermap"))


def test_show_and_ids(m):
    can_run(m)
    assert tool(m, "map", "create", m.p("a"), "type", "hash", "key", "4", "value", "8", "entries", "3",
                "name", "shown").returncode == 0
    (shown,) = json.loads(tool(m, "-j", "map", "show").stdout)
    assert (shown["type"], shown["name"], shown["bytes_key"], shown["bytes_value"], shown["max_entries"],
            shown["frozen"]) == ("hash", "shown", 4, 8, 3, 0)
    assert tool(m, "-j", "map", "show", "id", str(shown["id"])).returncode == 0
    assert tool(m, "map", "show", "id", "999999").returncode == 255


def program_commands(m):
    can_run(m)
    r = tool(m, "prog", "load", os.path.join(PROGS, "count_ports.bpf.o"), m.p("cp"))
    assert r.returncode == 0, r.stderr
    (prog,) = json.loads(tool(m, "-j", "prog", "list").stdout)
    assert (prog["type"], prog["name"], prog["gpl_compatible"], len(prog["map_ids"])) == \
        ("socket_filter", "count_ports", True, 2)
    assert json.loads(tool(m, "-j", "prog", "show", "pinned", m.p("cp")).stdout)["id"] == prog["id"]
    assert "call" in tool(m, "prog", "dump", "xlated", "pinned", m.p("cp")).stdout
    (types,) = json.loads(tool(m, "-j", "btf", "list").stdout)
    assert types["id"] == prog["btf_id"] and types["prog_ids"] == [prog["id"]]
    assert sorted(types["map_ids"]) == sorted(prog["map_ids"])
    return prog


def test_program_commands(m):
    program_commands(m)
    packet = os.path.join(m.base, "packet")
    with open(packet, "wb") as f:
        f.write(bytes(64))
    r = tool(m, "-j", "prog", "run", "pinned", m.p("cp"), "data_in", packet, "repeat", "1")
    assert r.returncode == 0 and json.loads(r.stdout)["retval"] == 0, r.stderr
    out = os.path.join(m.base, "out")
    r = tool(m, "prog", "run", "pinned", m.p("cp"), "data_in", packet, "data_out", out, "data_size_out", "4")
    assert r.returncode != 0 and "No space left on device" in r.stderr


def test_program_commands_of_an_ordinary_user(user_mount):
    program_commands(user_mount.start())


def test_the_callers_rights(m):
    """What a command of root's run does as somebody else is done, and owned, as that one."""
    needs_root("becomes somebody else")
    can_run(m)
    assert tool(m, "map", "create", m.p("root"), "type", "hash", "key", "4", "value", "4", "entries", "1",
                "name", "roots").returncode == 0
    change = ["setpriv", "--reuid", str(USERS[0]), "--regid", str(USERS[0]), "--clear-groups"]
    r = under_run(m, *change, BPFTOOL, "map", "dump", "pinned", m.p("root"))
    assert r.returncode != 0 and "Permission denied" in r.stderr, r.stdout + r.stderr
    r = under_run(m, *change, BPFTOOL, "prog", "load", os.path.join(PROGS, "count_ports.bpf.o"), m.p("theirs"))
    assert r.returncode == 0, r.stderr
    assert os.stat(m.p("theirs")).st_uid == USERS[0]
    # Fewer capabilities than the supervisor has: not answered with the supervisor's.
    r = under_run(m, "setpriv", "--inh-caps=-all", "--bounding-set=-dac_override", BPFTOOL, "map", "show")
    assert r.returncode != 0 and "Operation not permitted" in r.stderr, r.stdout + r.stderr


def test_new_privileges(user_mount):
    m = user_mount.start()
    can_run(m)
    r = under_run(m, "grep", "NoNewPrivs", "/proc/self/status")
    assert r.stdout.split() == ["NoNewPrivs:", "1"]


def test_what_the_command_sees(m):
    can_run(m)
    assert "bpf_fs" in under_run(m, "stat", "-f", "-c", "%T", m.path).stdout
    assert under_run(m, "sh", "-c", "exit 7").returncode == 7
    assert under_run(m, "sh", "-c", "kill -9 $$").returncode == 137
    assert under_run(m, "/nonexistent").returncode == 127


def test_refused(m):
    """What is not served has the errno of a kernel that lacks it."""
    can_run(m)
    script = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
NR = {"x86_64": 321}.get(__import__("os").uname().machine, 280)
for cmd in 33, 60:  # iterator, unknown
    buf = ctypes.create_string_buffer(144)
    ctypes.set_errno(0)
    assert libc.syscall(NR, cmd, buf, 144) == -1 and ctypes.get_errno() == errno.EINVAL, (cmd, ctypes.get_errno())
buf = ctypes.create_string_buffer(bytes(200) + b"x", 256)
assert libc.syscall(NR, 0, buf, 256) == -1 and ctypes.get_errno() == errno.E2BIG
assert libc.syscall(NR, 0, None, 32) == -1 and ctypes.get_errno() == errno.EFAULT
"""
    r = under_run(m, "python3", "-c", script)
    assert r.returncode == 0, r.stderr
