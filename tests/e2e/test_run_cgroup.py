"""
ubpfctl run: bpf(2) on cgroups and links, on directories of M/cgroup here and, where root may, of cgroup v2 on the
running kernel: the same results.
"""
import json
import os
import subprocess
import uuid

from bpf2 import BPFTOOL, PRELUDE, can_run, kernel_serves, script, tool, under_run
from conftest import PROGS, USERS, WAIT, needs_root, wait_for

SCRIPT = r"""
import time
TOP = %r
os.mkdir(TOP)
os.mkdir(TOP + "/sub")
top, sub = os.open(TOP, os.O_RDONLY), os.open(TOP + "/sub", os.O_RDONLY)

def prog(verdict, expected=0, title=b"p"):
    i = buf(struct.pack("<BBhi", 0xb7, 0, 0, verdict) + struct.pack("<BBhi", 0x95, 0, 0, 0))
    return bpf(PROG_LOAD, "IIQQIIQII16sII", 8, 2, ptr(i), ptr(buf(b"GPL\0")), 0, 0, 0, 0, 0, title, 0, expected)[0]

def attach(target, fd, type=0, flags=0, replace=0):
    return name(bpf(PROG_ATTACH, "IIIII", target, fd, type, flags, replace)[0])

def detach(target, fd, type=0):
    return name(bpf(PROG_DETACH, "III", target, fd, type)[0])

def ids(fd):
    info = buf(b"", 232)
    bpf(INFO, "IIQ", fd, 232, ptr(info))
    return struct.unpack_from("<I", info.raw, 4)[0]

def query(target, type=0, flags=0, room=8):
    out = buf(b"", 4 * 8)
    r, attr = bpf(QUERY, "IIIIQII", target, type, flags, 0, ptr(out), room, 0)
    n = struct.unpack_from("<I", attr, 24)[0]
    found = struct.unpack("<8I", out.raw)[:min(n, room)]
    return name(r), struct.unpack_from("<I", attr, 12)[0], n, [known.get(i, "?") for i in found]

a, b, c = prog(1, 0, b"a"), prog(1, 0, b"b"), prog(1, 1, b"c")
known = {ids(a): "a", ids(b): "b", ids(c): "c"}
results = [
    attach(top, a), query(top), query(sub), query(sub, 0, 1), attach(sub, b), attach(sub, b, 0, 2),
    attach(top, b), query(top), attach(top, a, 0, 1), detach(top, a), query(top), detach(top, a),
    attach(top, a, 0, 1), attach(sub, b, 0, 1), query(sub, 0, 1), detach(sub, 0), detach(top, 0),
    attach(top, a, 0, 2), attach(top, b, 0, 2), attach(top, b, 0, 2), query(top), query(top, 0, 0, 1), detach(top, 0),
    attach(sub, b, 0, 2), query(sub, 0, 1), attach(top, a, 0, 6, b),
    detach(top, a), detach(top, b), detach(sub, b),
    attach(top, c, 1), query(top, 1), attach(top, a, 99), attach(top, a, 0, 1024), attach(999, a), attach(top, 999),
    attach(a, a), attach(top, top), detach(top, c, 1), query(top, 0, 7), query(999), query(top, 99), query(a),
]

# Links.
def link(fd, target, type=0, flags=0):
    return bpf(LINK_CREATE, "IIIIQQ", fd, target, type, flags, 0, 0)[0]

def link_info(fd):
    info = buf(b"", 40)
    r, _ = bpf(INFO, "IIQ", fd, 40, ptr(info))
    type, _, prog_id, _, cgroup, attach_type = struct.unpack_from("<IIIIQI", info.raw)
    return name(r), type, known.get(prog_id, "?"), cgroup != 0, attach_type

def update(fd, new, flags=0, old=0):
    return name(bpf(LINK_UPDATE, "IIII", fd, new, flags, old)[0])

one = link(a, top)
results += [name(min(one, 0)), query(top), link_info(one), os.readlink("/proc/self/fd/%%d" %% one),
            update(one, b), query(top), link_info(one), update(one, a, 4, a), update(one, a, 4, b), update(one, b, 0, a),
            update(one, c, 8), update(one, 999), update(a, b), query(top),
            detach(top, a), attach(top, b, 0, 6, a), attach(top, b)]
two = link(b, sub)
results += [query(sub, 0, 1), name(bpf(LINK_DETACH, "I", two)[0]), link_info(two), name(bpf(LINK_DETACH, "I", two)[0]),
            update(two, a), query(sub, 0, 1), name(min(0, link(a, 999))), name(min(0, link(999, top))),
            name(min(0, link(a, top, 77))), name(min(0, link(a, top, 0, 3))), name(min(0, link(a, a)))]
os.close(one)
for i in range(%d):  # where descriptors are a filesystem's, it hears of a close a moment after it
    if not query(top)[2]:
        break
    time.sleep(0.01)
results += [query(top)]

# The cgroup goes before its link.
three = link(b, sub)
results += [name(min(three, 0))]
os.close(sub)
os.rmdir(TOP + "/sub")
three_info = link_info(three)
os.close(three)
os.close(top)
os.rmdir(TOP)
print(json.dumps(results))
"""


def check(results):
    assert results[:2] == ["ok", ["ok", 0, 1, ["a"]]]
    assert results[-3] != results[-2]


def host_cgroups():
    with open("/proc/mounts") as f:
        for line in f:
            if line.split()[2] == "cgroup2":
                return line.split()[1]
    return None


def test_cgroups_and_links(m):
    can_run(m)
    ours = script(m, SCRIPT % (m.p("cgroup", "t"), WAIT * 100))
    check(ours)
    host = host_cgroups()
    if not kernel_serves() or not host:
        return
    r = subprocess.run(["/usr/bin/python3", "-c", PRELUDE + SCRIPT % (os.path.join(host, "t" + uuid.uuid4().hex[:8]), 1)],
                       capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == 0, r.stderr
    assert ours == json.loads(r.stdout)


def test_cgroups_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    check(script(m, SCRIPT % (m.p("cgroup", "t"), WAIT * 100)))


def test_bpftool_on_cgroups(m):
    can_run(m)
    os.makedirs(m.p("cgroup/a/b"))
    os.mkdir(m.p("pins"))
    assert tool(m, "prog", "loadall", os.path.join(PROGS, "cgroup_filter.bpf.o"), m.p("pins/f")).returncode == 0
    assert sorted(os.listdir(m.p("pins/f"))) == ["filter_in", "filter_out"]
    attach = ["cgroup", "attach", m.p("cgroup/a"), "ingress", "pinned", m.p("pins/f/filter_in")]
    assert tool(m, *attach).returncode == 0
    (shown,) = json.loads(tool(m, "-j", "cgroup", "show", m.p("cgroup/a")).stdout)
    assert (shown["attach_type"], shown["name"]) == ("cgroup_inet_ingress", "filter_in")
    assert m.read("cgroup", "a", "ingress.attach").split()[-1] == "exclusive"
    (tree,) = json.loads(tool(m, "-j", "cgroup", "tree", m.p("cgroup")).stdout)
    assert tree["cgroup"] == m.p("cgroup/a")
    attach[1] = "detach"
    assert tool(m, *attach).returncode == 0
    assert m.read("cgroup", "a", "ingress.attach") == ""
    assert tool(m, *attach).returncode != 0


LINK = r"""
i = buf(struct.pack("<BBhi", 0xb7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0))
p = bpf(PROG_LOAD, "IIQQIIQII16s", 8, 2, ptr(i), ptr(buf(b"GPL\0")), 0, 0, 0, 0, 0, b"linked")[0]
top = os.open(%r, os.O_RDONLY)
link = bpf(LINK_CREATE, "IIIIQQ", p, top, 0, 0, 0, 0)[0]
print(json.dumps([link > 0, name(bpf(OBJ_PIN, "QI", ptr(buf(%r + b"\0")), max(link, 0))[0])]))
"""


def test_a_pinned_link(m):
    """It outlives its maker and the server, and ends with its pin."""
    can_run(m)
    os.mkdir(m.p("cgroup/a"))
    os.mkdir(m.p("cgroup/b"))
    assert script(m, LINK % (m.p("cgroup/a"), m.p("pin").encode())) == [True, "ok"]
    assert script(m, LINK % (m.p("cgroup/b"), m.p("pin").encode())) == [True, "EEXIST"]
    wait_for(lambda: m.read("cgroup", "b", "ingress.attach") == "", "the unpinned link to end")
    (shown,) = json.loads(tool(m, "-j", "link", "show").stdout)
    assert (shown["type"], shown["attach_type"]) == ("cgroup", "cgroup_inet_ingress")
    assert "linked" in tool(m, "cgroup", "show", m.p("cgroup/a")).stdout
    m.restart()
    assert "linked" in tool(m, "cgroup", "show", m.p("cgroup/a")).stdout
    again = json.loads(tool(m, "-j", "link", "show").stdout)
    assert [x["id"] for x in again] == [shown["id"]]
    os.unlink(m.p("pin"))
    wait_for(lambda: not os.listdir(m.p("ids/link")), "the link to end")
    assert m.read("cgroup", "a", "ingress.attach") == ""
    m.restart()
    assert m.read("cgroup", "a", "ingress.attach") == "" and os.listdir(m.p("ids/prog")) == []


def test_links_are_their_makers(m):
    needs_root("acts as somebody else")
    can_run(m)
    os.mkdir(m.p("cgroup/a"))
    r = under_run(m, "/usr/bin/python3", "-c", PRELUDE + LINK % (m.p("cgroup/a"), b"/nowhere"), user=USERS[0])
    assert json.loads(r.stdout)[0] is False  # the directory is root's
    os.chown(m.p("cgroup/a"), USERS[0], USERS[0])
    assert script(m, LINK % (m.p("cgroup/a"), b"/nowhere"), user=USERS[0])[0] is True
    wait_for(lambda: not os.listdir(m.p("ids/link")), "the user's link to end")
    assert script(m, LINK % (m.p("cgroup/a"), m.p("pin").encode())) == [True, "ok"]
    (link,) = os.listdir(m.p("ids/link"))
    r = under_run(m, BPFTOOL, "link", "detach", "id", link, user=USERS[0])
    assert r.returncode != 0 and "linked" in tool(m, "cgroup", "show", m.p("cgroup/a")).stdout
    assert tool(m, "link", "detach", "id", link).returncode == 0
    assert m.read("cgroup", "a", "ingress.attach") == ""
