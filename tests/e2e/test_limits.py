"""
M/limits: what one user may hold, who says so, and what is left for the others.
"""
import errno
import os
import subprocess
import sys

import pytest

from conftest import MODULES, USERS, WAIT, as_user, needs_root, wait_for

USER, OTHER = USERS
LIMITS = ["objects", "bytes", "names", "files", "jobs", "sources", "memory", "run_seconds", "verify_seconds"]
COUNTED = ["objects", "bytes", "names", "files", "sources"]


def used(m, uid):
    """What a user holds: root looks."""
    if not os.path.isdir(m.p("limits", str(uid))):
        os.mkdir(m.p("limits", str(uid)))
    return {name: int(v.split("/")[0]) for name, v in m.info("limits", str(uid), "usage").items()}


def at_rest(m, uid):
    """What a user holds who has no open file: the server hears of a close a moment after the caller is back."""
    wait_for(lambda: not used(m, uid)["files"] and not used(m, uid)["memory"], "the files to be closed")
    return used(m, uid)


def limit(m, uid, name, value):
    os.makedirs(m.p("limits", str(uid)), exist_ok=True)
    m.sh("echo %s > $M/limits/%s/%s" % (value, uid, name))


def make_map(name, **attrs):
    attrs = dict(dict(type="array", key_size=4, value_size=8, max_entries=4), **attrs)
    return "mkdir $M/maps/%s && cd $M/maps/%s && " % (name, name) + " && ".join(
        "echo %s > %s" % (v, k) for k, v in attrs.items())


def under(m, files):
    """The server gets that hard limit of descriptors."""
    argv = m.argv
    m.argv = lambda *options: ["prlimit", "--nofile=%d:%d" % (files, files)] + argv(*options)
    return m


def test_files(m):
    assert sorted(os.listdir(m.p("limits"))) == ["all", "default", "usage"]
    assert sorted(os.listdir(m.p("limits", "default"))) == sorted(LIMITS)
    assert list(m.info("limits", "usage")) == LIMITS
    for name in LIMITS:
        assert int(m.read("limits", "default", name)) > 0
    m.fails("mkdir $M/limits/root", "Invalid argument")
    m.fails("mkdir $M/limits/07", "Invalid argument")
    m.fails("mkdir $M/limits/4294967295", "Invalid argument")
    m.fails("rmdir $M/limits/default", "Operation not permitted")
    m.sh("mkdir $M/limits/4000001")
    assert sorted(os.listdir(m.p("limits", "4000001"))) == sorted(LIMITS + ["usage"])
    before = m.read("limits", "default", "names")
    m.sh("echo 7 > $M/limits/4000001/names; printf none > $M/limits/4000001/files; echo 0x10 > $M/limits/default/names")
    assert m.read("limits", "4000001", "names") == "7\n"
    assert m.read("limits", "4000001", "files") == "none\n"
    assert m.read("limits", "default", "names") == "16\n"
    for bad in "-1", "many", "1 2", "18446744073709551616":
        assert m.sh("echo '%s' > $M/limits/4000001/names" % bad, check=False).returncode, bad
    for part in b"no", b"0x", b"defau":
        fd = os.open(m.p("limits/4000001/names"), os.O_WRONLY)
        os.write(fd, part)
        with pytest.raises(OSError):
            os.close(fd)
    m.restart()
    assert m.read("limits", "4000001", "names") == "7\n"
    assert m.read("limits", "4000001", "files") == "none\n"
    assert m.read("limits", "default", "names") == "16\n"
    m.sh("echo default > $M/limits/default/names; echo default > $M/limits/4000001/names")
    assert m.read("limits", "default", "names") == m.read("limits", "4000001", "names") == before
    m.sh("rmdir $M/limits/4000001")
    m.restart(kill=False)
    assert sorted(os.listdir(m.p("limits"))) == ["all", "default", "usage"]
    assert m.read("limits", "default", "names") == before


def test_all_together(m):
    """What all users together may hold is set as one user's is, is kept, and refuses what would go beyond it."""
    assert sorted(os.listdir(m.p("limits", "all"))) == ["memory", "usage", "verify_memory"]
    before = {name: m.read("limits", "all", name) for name in ("memory", "verify_memory")}
    assert all(int(v) >= 512 << 20 for v in before.values())
    m.fails("rmdir $M/limits/all", "Operation not permitted")
    m.fails("mkdir $M/limits/all", "File exists")
    empty = {name: "0/" + v.strip() for name, v in before.items()}
    wait_for(lambda: m.info("limits", "all", "usage") == empty, "the requests of the start to be forgotten")
    m.sh("echo 1 > $M/limits/all/verify_memory")
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")  # the first of each are always there
    r = m.sh("cat $P/slow_load.bpf.o > $M/progs/new", check=False)
    assert r.returncode and "Cannot allocate memory" in r.stderr and "too much memory together" in m.read("progs", "log")
    m.sh("echo %d > $M/limits/all/memory" % (8 << 20))
    m.restart()
    assert m.read("limits", "all", "memory") == "%d\n" % (8 << 20) and m.read("limits", "all", "verify_memory") == "1\n"
    m.sh("echo default > $M/limits/all/verify_memory; rm -r $M/progs/count_ports")
    if not os.geteuid():
        m.sh("cat $M/limits/all/usage $M/limits/all/memory", user=USER)
        m.fails("echo none > $M/limits/all/memory", "Permission denied", user=USER)
        p = subprocess.Popen([sys.executable, "-c", HALF, "transfer", m.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True, **as_user(USER))
        n, err = map(int, p.stdout.readline().split())
        assert err == errno.EDQUOT and n, (n, err)
        assert "limits/all/memory" in m.sh("cat $M/log", user=USER).stdout
        assert m.info("limits", "all", "usage")["memory"] != "0/%d" % (8 << 20)
        p.communicate("")
    m.sh("echo default > $M/limits/all/memory")
    m.restart(kill=False)
    assert {name: m.read("limits", "all", name) for name in ("memory", "verify_memory")} == before


def test_one_server_user_may_limit_himself(m):
    """Who runs the server has no limit but the one that he sets."""
    me = os.geteuid()
    assert all(v.endswith("/none") for v in m.info("limits", "usage").values())
    limit(m, me, "names", used(m, me)["names"] + 1)
    m.sh("mkdir $M/a")
    m.fails("mkdir $M/b", "Disk quota exceeded")
    assert "limits/%d/names" % me in m.log()
    m.sh("rmdir $M/a; ln -s x $M/b")
    m.fails("ln -s x $M/c", "Disk quota exceeded")
    m.sh("echo none > $M/limits/%d/names; ln -s x $M/c" % me)


def test_who_may_read_and_write(m):
    needs_root("acts as two users")
    limit(m, USER, "objects", 5)
    m.fails("echo 100 > $M/limits/%d/objects" % USER, "Permission denied", user=USER)
    m.fails("mkdir $M/limits/%d" % OTHER, "Permission denied", user=USER)
    m.fails("rmdir $M/limits/%d" % USER, "Permission denied", user=USER)
    assert m.out("cat $M/limits/%d/objects" % USER, user=USER) == "5\n"
    assert "objects: 0/5\n" in m.out("cat $M/limits/usage", user=USER)
    assert "objects: 0/5\n" in m.out("cat $M/limits/%d/usage" % USER, user=USER)
    m.sh("cat $M/limits/default/objects", user=OTHER)
    m.fails("cat $M/limits/%d/usage" % USER, "Permission denied", user=OTHER)
    m.fails("cat $M/limits/%d/objects" % USER, "Permission denied", user=OTHER)
    m.fails("mv $M/limits/%d $M/limits/%d" % (USER, OTHER), "Operation not permitted")


@pytest.mark.parametrize("name,step,one", [
    ("objects", 1, make_map("x%d")),
    ("names", 1, "mkdir $M/x%d"),
    ("names", 1, "ln -s a $M/x%d"),
    ("names", 2, make_map("x%d")),
    ("bytes", 8192, make_map("x%d")),
    ("bytes", 8192, make_map("x%d", type="hash")),
])
def test_at_the_limit(m, name, step, one):
    needs_root("acts as two users")
    m.sh(one.replace("%d", "0"), user=USER)
    per = used(m, USER)[name]
    assert per >= step
    limit(m, USER, name, 3 * per)
    m.sh(one.replace("%d", "1"), user=USER)
    m.sh(one.replace("%d", "2"), user=USER)
    m.fails(one.replace("%d", "3"), "Disk quota exceeded", user=USER)
    log = m.sh("cat $M/log", user=USER).stdout
    assert "EDQUOT" in log and "limits/%d/%s" % (USER, name) in log, log
    m.sh(one.replace("%d", "4"), user=OTHER)
    m.sh(one.replace("%d", "5"))
    m.sh("rm -rf $M/x0 $M/maps/x0 $M/maps/x3", user=USER)
    wait_for(lambda: used(m, USER)[name] == 2 * per, "the charge to go")
    m.sh(one.replace("%d", "6"), user=USER)


def test_a_load_at_the_limit(m):
    """Nothing of it is there afterwards, and the report says which limit."""
    needs_root("acts as two users")
    m.load("count_ports", user=USER)
    full = at_rest(m, USER)
    m.sh("rm -r $M/progs/*/", user=USER)
    wait_for(lambda: not any(used(m, USER)[n] for n in COUNTED), "the charges to go")
    for name in "objects", "names", "bytes":
        limit(m, USER, name, full[name] - 1)
        m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "Disk quota exceeded", user=USER)
        report = m.out("cat $M/progs/log", user=USER)
        assert "EDQUOT" in report and "limits/%d/%s" % (USER, name) in report, report
        assert m.names() == ([], [])
        wait_for(lambda: not any(used(m, USER)[n] for n in COUNTED), "the charges to go")
        limit(m, USER, name, full[name])
    m.load("count_ports", user=USER)
    assert at_rest(m, USER) == full


def test_nothing_leaks(m):
    """All ways to hold something, and to let it go; also over restarts."""
    needs_root("acts as two users")
    m.sh("""
        cat $P/count_ports.bpf.o > $M/progs/new
        mkdir $M/mine $M/mine/deep; ln -s x $M/mine/l; ln -s x $M/mine/k
        p=$(ls -d $M/progs/*/ | head -1)
        ln $p/prog $M/mine/p; ln $p/prog $M/mine/q; mv $M/mine/p $M/mine/q2; mv $M/mine/l $M/mine/k
        mkdir $M/mine/e1 $M/mine/e2; mv -T $M/mine/e1 $M/mine/e2
        echo broken > $M/progs/new
        head -c 3000 $P/count_ports.bpf.o > $M/progs/new
        cat $P/count_ports.bpf.o > $M/progs/new
        mkdir $M/events/t; echo timer > $M/events/t/type
        mkdir $M/maps/unborn; mkdir $M/maps/unborn $M/mine/deep; rmdir $M/mine; ln $M/mine/q $M/mine/q2
        true""", user=USER)
    m.sh(make_map("a"), user=USER)
    m.fails(make_map("bad", value_size=0), "Invalid argument", user=USER)
    held = at_rest(m, USER)
    assert held["objects"] >= 3 and held["names"] >= 10
    m.restart()
    assert at_rest(m, USER) == held
    m.restart(kill=False)
    assert at_rest(m, USER) == held
    m.sh("rm -r $M/mine $M/maps/a $M/maps/unborn $M/maps/bad $M/events/t $M/progs/*/", user=USER)
    wait_for(lambda: not any(used(m, USER)[n] for n in COUNTED), "the charges to go")
    m.restart()
    assert not any(used(m, USER)[n] for n in COUNTED)


def test_the_charge_follows_the_owner(m):
    needs_root("acts as two users")
    m.sh(make_map("a") + "; mkdir $M/d; ln -s x $M/l; ln $M/maps/a/map $M/d/pin", user=USER)
    before = at_rest(m, USER)
    limit(m, OTHER, "objects", 0)
    m.fails("chown %d $M/maps/a/map" % OTHER, "Disk quota exceeded")
    assert used(m, USER) == before and not used(m, OTHER)["objects"]
    limit(m, OTHER, "objects", "default")
    m.sh("chown %d $M/maps/a/map $M/maps/a $M/d; chown -h %d $M/l" % (OTHER, OTHER))
    assert used(m, OTHER) == before
    assert not any(used(m, USER)[n] for n in COUNTED)
    m.restart()
    assert used(m, OTHER) == before
    m.sh("rm -r $M/maps/a $M/d $M/l")
    wait_for(lambda: not any(used(m, OTHER)[n] for n in COUNTED), "the charges to go")


HOLD = """
import os, sys
n = 0
try:
    while True:
        os.open(sys.argv[1] + "/version", os.O_RDONLY)
        n += 1
except OSError as e:
    print(n, e.errno, flush=True)
sys.stdin.read()
"""


def test_open_files(m):
    needs_root("acts as two users")
    limit(m, USER, "files", 20)
    p = subprocess.Popen([sys.executable, "-c", HOLD, m.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         **as_user(USER))
    n, err = map(int, p.stdout.readline().split())
    assert (n, err) == (20, errno.EDQUOT)
    m.sh("cat $M/version", user=OTHER)
    assert used(m, USER)["files"] == 20
    p.communicate("")
    wait_for(lambda: not used(m, USER)["files"], "the files to be closed")
    m.sh("cat $M/version", user=USER)


WAIT_FOR_ONE = """
import os, sys
os.read(os.open(sys.argv[1] + "/.trace_pipe", os.O_RDONLY), 100)
"""


def test_jobs(m):
    """Readers that wait are requests, too; a close is never refused."""
    needs_root("acts as two users")
    limit(m, USER, "jobs", 3)
    waiting = [subprocess.Popen([sys.executable, "-c", WAIT_FOR_ONE, m.path], **as_user(USER)) for _ in range(3)]
    try:
        wait_for(lambda: used(m, USER)["jobs"] == 3, "the readers")
        m.fails("cat $M/.trace_pipe", "Disk quota exceeded", user=USER)
        m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "Disk quota exceeded", user=USER)
        m.sh("cat $P/count_ports.bpf.o > $M/progs/new; cat $M/version", user=OTHER)
    finally:
        for p in waiting:
            p.kill()
            p.wait()
    wait_for(lambda: not used(m, USER)["jobs"], "the readers to end")
    m.sh("rm -r $M/progs/*/", user=OTHER)
    m.load("count_ports", user=USER)
    wait_for(lambda: not used(m, USER)["jobs"], "the load to end")


HALF = """
import fcntl, os, sys
sys.path.insert(0, %r)
from commands import MAP_LOOKUP_ELEM, PUT, call
kind, m = sys.argv[1:]
opens, n = [], 0
try:
    while n < 1000:
        path = {"object": "progs/new", "transfer": "ctl", "answer": "maps/v/map", "value": "maps/v/entries/0",
                "line": "maps/v/dump", "text": "maps/v/entries/0", "records": "maps/p/.records", "listing": "many"}[kind]
        mode = os.O_WRONLY if kind in ("object", "value", "line") else os.O_RDWR if kind == "transfer" else os.O_RDONLY
        opens.append(os.open(m + "/" + path, mode))
        fd = opens[-1]
        if kind == "object":
            os.pwrite(fd, b"x", (4 << 20) - 1)
        elif kind == "transfer":
            for off in range(0, 1 << 20, 16000):
                call(fd, PUT, bytes(16000), flags=off, xfer=1)
        elif kind == "value":
            os.write(fd, b"00 " * 340000)
        elif kind == "line":
            os.write(fd, b"0 " + b"00 " * 340000)
        elif kind == "text":
            os.read(fd, 100)
        elif kind == "listing":
            next(os.scandir(fd))
        elif kind == "answer":
            call(fd, PUT, bytes(4), xfer=1)
            from commands import IO, IO_MAX, ioc
            buf = bytearray(IO.pack(0, 1, 0, 4, 4 << 20, 0, 0))
            fcntl.ioctl(fd, ioc(MAP_LOOKUP_ELEM, len(buf)), buf, True)
        n += 1
except OSError as e:
    print(n, e.errno, flush=True)
sys.stdin.read()
""" % MODULES


@pytest.mark.parametrize("kind", ["object", "transfer", "answer", "value", "line", "text", "records", "listing"])
def test_memory(m, kind):
    """What is half written or not yet fetched is charged; it is given back with the open file."""
    needs_root("acts as two users")
    m.sh(make_map("v", value_size=4 << 20) + "; " + make_map("p", type="perf_event_array", value_size=4, max_entries=64), user=USER)
    if kind == "listing":
        m.sh("mkdir $M/many; cd $M/many; printf '%%04d%s\n' $(seq 2000) | xargs mkdir" % (240 * "n"), user=USER)
    limit(m, USER, "memory", 32 << 20)
    p = subprocess.Popen([sys.executable, "-c", HALF, kind, m.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True, **as_user(USER))
    n, err = map(int, p.stdout.readline().split())
    assert err == errno.EDQUOT and 1 <= n <= 128, (n, err)
    assert "limits/%d/memory" % USER in m.sh("cat $M/log", user=USER).stdout
    assert 16 << 20 < used(m, USER)["memory"] <= (32 << 20) + n * (64 << 10)
    m.load("count_ports", user=OTHER)
    p.communicate("")
    wait_for(lambda: not used(m, USER)["memory"], "the memory to be given back")
    m.sh("cat $P/functions.bpf.o > $M/progs/new", user=USER)
    wait_for(lambda: not used(m, USER)["memory"], "that of a load, too")


def test_memory_of_symbols(m):
    """What comes of a process's files is charged while it comes."""
    needs_root("acts as two users")
    m.sh(make_map("s", type="stack_trace", value_size=1016, max_entries=64), user=USER)
    m.sh("echo $$ > $M/maps/s/symbols; echo off > $M/maps/s/symbols", user=USER)
    limit(m, USER, "memory", 4096)
    m.fails("echo $$ > $M/maps/s/symbols", "Disk quota exceeded", user=USER)
    assert "limits/%d/memory" % USER in m.sh("cat $M/log", user=USER).stdout
    assert m.read("maps", "s", "symbols") == "off\n"
    wait_for(lambda: not used(m, USER)["memory"], "the memory to be given back")


TYPES = """
import os, struct, sys, time
import commands as c
ctl = os.open(sys.argv[1] + "/ctl", os.O_RDWR)
number = struct.pack("=IIII", 1, 1 << 24, 4, 32)
names = b"\\0int\\0" + b"x" * 12000 + b"\\0"
types = struct.pack("=HBBIIIII", 0xeb9f, 1, 0, 24, 0, len(number), len(number), len(names)) + number + names
def held():
    with open(sys.argv[1] + "/limits/usage") as f:
        return int(dict(l.split(": ") for l in f)["memory"].split("/")[0])
def holds(expected):
    # What a request took goes a moment after its answer.
    end = time.monotonic() + float(sys.argv[2])
    while (now := held()) != expected and time.monotonic() < end:
        time.sleep(0.01)
    print(now == expected)
holds(0)
c.call(ctl, c.BTF_LOAD, types, 4)
holds(2 * len(types))
for i in range(3):
    try:
        c.call(ctl, c.BTF_LOAD, b"x", 4)
    except OSError as e:
        print(e.errno)
holds(2 * len(types))
c.call(ctl, c.BTF_LOAD, types, 4)
holds(2 * len(types))
c.map_create(ctl, 1, 4, 8, 4)
holds(0)
"""


def test_memory_of_types(m):
    """ctl pays for the types that it holds, also when a later load is refused, and no longer."""
    needs_root("acts as two users")
    out = subprocess.run([sys.executable, "-c", TYPES, m.path, str(WAIT)], capture_output=True, text=True, check=True,
                         cwd=MODULES, **as_user(USER)).stdout
    assert out.split() == ["True"] * 2 + [str(errno.EINVAL)] * 3 + ["True"] * 3, out


def test_a_large_value_is_given_up(m):
    """Who is killed while megabytes of text are made for him ends at once, and others are answered meanwhile."""
    needs_root("acts as two users")
    m.sh(make_map("v", value_size=64 << 20, max_entries=1))
    for name in "entries/0", "dump", "dump.json":
        p = subprocess.Popen(["cat", m.p("maps/v", name)], stdout=subprocess.DEVNULL)
        m.wait_jobs()
        m.sh("cat $M/version; ls -l $M/maps/v/entries", user=OTHER)
        p.kill()
        p.wait(WAIT / 2)


def test_sources(m):
    needs_root("acts as two users")
    limit(m, USER, "sources", 1)
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new", user=USER)
    prog = m.out("ls $M/progs | grep -v -x -e new -e log | head -1", user=USER).strip()
    one = ("mkdir $M/events/%%s && cd $M/events/%%s && echo timer > type && echo 1000 > interval_ms && "
           "echo %s > attach" % prog)
    m.sh(one % ("a", "a"), user=USER)
    m.fails(one % ("b", "b"), "Disk quota exceeded", user=USER)
    m.sh("rm -r $M/events/a && echo %s > $M/events/b/attach" % prog, user=USER)
    assert used(m, USER)["sources"] == 1
    m.sh("rm -r $M/events/b", user=USER)
    assert used(m, USER)["sources"] == 0


# ---- descriptors


def descriptors(m):
    return len(os.listdir("/proc/%d/fd" % m.server()))


def test_more_objects_than_descriptors(cold):
    """Neither a map nor a directory that the kernel knows keeps one open; the next server starts with as few."""
    m = under(cold, 200).start()
    n = 400
    for i in range(n):
        os.mkdir(m.p("d%d" % i))
    for i in range(n):
        m.sh(make_map("m%d" % i)) if i < 3 else None
    script = "".join("mkdir m%d; cd m%d; echo hash > type; echo 4 > key_size; echo 8 > value_size; "
                     "echo 10 > max_entries; echo %d > entries/1; cd ..; " % (i, i, i) for i in range(3, n))
    m.sh("cd $M/maps; " + script)
    stats = {os.stat(m.p("d%d" % i)).st_ino for i in range(n)}
    assert len(stats) == n
    assert m.metrics()["nodes"] > n
    assert descriptors(m) < 180
    assert m.read("maps/m%d/entries/1" % (n - 1)) == "%d\n" % (n - 1)
    m.restart()
    assert descriptors(m) < 180
    assert m.read("maps/m%d/entries/1" % (n - 1)) == "%d\n" % (n - 1)
    assert len(m.names()[1]) == n


def test_renamed_above_what_is_known(cold):
    """A directory is found by its names, which change above it; its descriptor has been closed meanwhile."""
    m = under(cold, 200).start()
    m.sh("mkdir -p $M/a/b/c; ln -s t $M/a/b/c/l; mkdir $M/z")
    inside = os.open(m.p("a/b/c"), os.O_RDONLY)
    attr = m.p("maps/x/info")
    m.sh(make_map("x"))
    info = os.open(attr, os.O_RDONLY)
    for i in range(300):  # what was used before is closed
        os.mkdir(m.p("f%d" % i))
    m.sh("mv $M/a/b $M/z/b2; mv $M/z $M/y; mv $M/maps/x $M/maps/w")
    for i in range(300):
        os.rmdir(m.p("f%d" % i))
    assert os.listdir(inside) == ["l"]
    assert os.stat("l", dir_fd=inside, follow_symlinks=False).st_size == 1
    os.mkdir("new", dir_fd=inside)
    assert os.path.isdir(m.p("y/b2/c/new"))
    assert b"type: array" in os.read(info, 1000)
    m.sh("mkdir -p $M/a/b; mv --exchange $M/a $M/y 2> /dev/null || true")
    assert os.listdir(inside)
    os.close(inside)
    os.close(info)


def test_removed_while_known(cold):
    """What is gone stays gone, though its inode number goes to another file at once."""
    m = under(cold, 200).start()
    held = []
    for i in range(150):
        os.mkdir(m.p("d%d" % i))
        held.append(os.open(m.p("d%d" % i), os.O_RDONLY))
    for i in range(150):
        os.rmdir(m.p("d%d" % i))
    for i in range(150):
        os.mkdir(m.p("e%d" % i))
        os.mkdir(m.p("e%d/in" % i))
    for i in range(150):
        assert os.listdir(m.p("e%d" % i)) == ["in"]
        with pytest.raises(OSError):
            os.mkdir("x", dir_fd=held[i])
        assert os.fstat(held[i]).st_nlink <= 1
    for fd in held:
        os.close(fd)
    for i in range(150):
        assert os.listdir(m.p("e%d" % i)) == ["in"]


def test_children_get_the_old_limit(cold):
    """The server takes all descriptors that it may have; who it starts has as many as before."""
    soft = 300
    argv = cold.argv
    cold.argv = lambda *options: ["prlimit", "--nofile=%d:%d" % (soft, 2000)] + argv(*options)
    m = cold.start()
    limits = open("/proc/%d/limits" % m.server()).read()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()
    assert line[3:5] == ["2000", "2000"]


def test_input_of_requests(m):
    """What a request brings along is kept until it has its turn, and counts; little is never refused."""
    needs_root("acts as two users")
    m.sh(make_map("a", type="hash", max_entries=100000), user=USER)
    m.sh("for i in $(seq 20000); do echo $i 1; done > $T/lines; chmod 644 $T/lines")
    limit(m, USER, "memory", 4096)
    m.fails("dd if=$T/lines of=$M/maps/a/dump bs=128k", "Disk quota exceeded", user=USER)
    assert "limits/%d/memory" % USER in m.sh("cat $M/log", user=USER).stdout
    m.sh("dd if=$T/lines of=$M/maps/a/dump bs=4k count=2; echo 1 1 > $M/maps/a/dump; cat $M/maps/a/dump", user=USER)
    limit(m, USER, "memory", "default")
    m.sh("cat $T/lines > $M/maps/a/dump", user=USER)
    assert m.out("wc -l < $M/maps/a/dump", user=USER) == "20000\n"
    wait_for(lambda: not used(m, USER)["memory"], "the memory to be given back")
