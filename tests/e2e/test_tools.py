"""
Ordinary tools see what cat sees: whoever goes by st_size (sendfile, mmap, tar, a copy in pieces) gets the whole file,
and a failure reaches the caller's exit code. On root's mount and on an ordinary user's own.
"""
import errno
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from conftest import USERS, Mount, as_user, make_base, needs_root, wait_for

NUMBERS = "echo %s > type; echo 4 > key_size; echo 8 > value_size; echo 5000 > max_entries\n"
BYTES = "echo %s > type; echo 4 > key_size; echo %d > value_size; echo 50 > max_entries\n"
SEVENS = "$(yes 07 | head -n %d)"
MAKE = ("set -e; mkdir $M/maps/h; cd $M/maps/h; " + NUMBERS % "hash" +
        "seq 1 3 3000 | sed 's/.*/& &&/' > dump; echo 4444 > entries/44\n"
        "mkdir $M/maps/p; cd $M/maps/p; " + NUMBERS % "percpu_hash" + "for i in 1 22; do echo $i$i > entries/$i; done\n"
        "mkdir $M/maps/v; cd $M/maps/v; " + BYTES % ("hash", 100000) +
        "(for i in 1 22; do echo $i " + SEVENS % 100000 + "; done) > dump\n"
        "mkdir $M/maps/w; cd $M/maps/w; " + BYTES % ("percpu_hash", 12) + "echo 1 " + SEVENS % 12 + " > dump\n"
        "mkdir $M/maps/half; echo hash > $M/maps/half/type\n"
        "mkdir $M/maps/q; cd $M/maps/q; echo queue > type; echo 4 > value_size; echo 3 > max_entries; echo 5 > push\n"
        "cat $P/cgroup_verdicts.bpf.o > $M/progs/new; cat $P/event_packets.bpf.o > $M/progs/new\n"
        "mkdir $M/cgroup/A; echo allow > $M/cgroup/A/ingress.attach; mkdir $M/events/t; cd $M/events/t\n"
        "echo timer > type; echo 50000 > interval_ms; echo tick > attach; mkdir $M/app")
FILES = ["README", "version", "features", "maps/h/type", "maps/h/info", "maps/h/stats", "maps/h/entries/44",
         "maps/h/dump", "maps/h/dump.json", "maps/h/raw", "maps/p/dump", "maps/p/dump.json", "maps/v/dump",
         "maps/v/entries/22", "maps/w/dump", "maps/half/type", "maps/q/dump", "maps/q/peek", "progs/allow/info",
         "progs/allow/log", "progs/allow/xlated", "progs/tick/jited", "progs/log", "cgroup/A/ingress.attach",
         "cgroup/A/ingress.effective", "events/t/type", "events/t/attach", "events/t/interval_ms", "events/t/stats"]


@pytest.fixture(params=["root", "user"])
def full(request, dev_fuse):
    """A mount with one of everything; $T/o is for what comes out."""
    if request.param == "root":
        needs_root("has a mount for everybody")
    base, user = make_base("/tmp"), None if request.param == "root" else os.geteuid() or USERS[0]
    os.mkdir(os.path.join(base, "o"))
    os.mkdir(os.path.join(base, "s"))
    if user and not os.geteuid():
        for name in "o", "s":
            os.chown(os.path.join(base, name), user, user)
    m = Mount(base, os.path.join(base, "s"), user)
    try:
        m.start().sh(MAKE)
        yield m
        m.end()
    finally:
        m.take_away()
        shutil.rmtree(base, ignore_errors=True)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(tool + " is missing")


def python(code):
    return "'%s' -c \"import mmap, os, shutil, sys, zipfile\n%s\" $F got" % (sys.executable, code)


# From $F to `got`. sendfile asks for more than there is, as cp and web servers do with what stat said.
IN_OUT = "f, to = open(sys.argv[1], 'rb'), open(sys.argv[2], 'wb')\n"
WAYS = {"sendfile": python(IN_OUT + "while os.sendfile(to.fileno(), f.fileno(), None, 1 << 20): pass"),
        "splice": python(IN_OUT + "r, w = os.pipe()\n"
                         "while True:\n n = os.splice(f.fileno(), w, 4096)\n if not n: break\n to.write(os.read(r, n))"),
        "mmap": python(IN_OUT + "to.write(mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE)[:])"),
        "shutil": python("shutil.copy(*sys.argv[1:])"),
        "tar": "set -o pipefail; tar cf - -C $(dirname $F) $(basename $F) | tar xOf - > got",
        "zip": "rm -f z.zip; zip -q z.zip $F; " + python("z = zipfile.ZipFile('z.zip')\n"
                                                         "open('got', 'wb').write(z.read(z.namelist()[0]))"),
        "busybox cat": "busybox cat $F > got", "busybox cp": "busybox cp $F got",
        "busybox tar": "busybox tar cf - -C $(dirname $F) $(basename $F) | tar xOf - > got",
        "cp": "cp $F got", "dd": "dd if=$F of=got status=none", "tail": "tail -n +1 $F > got", "grep": "grep -a '' $F > got",
        "rsync": "rsync $F got", "rsync -u": "rsync -u $F got",
        "file": "! file $F | grep -w empty; cat $F > got"}


@pytest.mark.parametrize("way", WAYS)
def test_every_tool_reads_what_cat_reads(full, way):
    need(way.split()[0] if way.split()[0] in ("tar", "zip", "busybox", "rsync", "file") else "sh")
    if way == "splice" and sys.version_info < (3, 10):
        pytest.skip("os.splice() is Python 3.10's")
    assert full.out("""set -e; cd $T/o
for name in %s; do
F=$M/$name; rm -f got; cat $F > want; test $(stat -c %%s $F) = $(stat -c %%s want)
%s
cmp want got || case $F in *raw) test '%s' = grep;; *) exit 1;; esac
done""" % (" ".join(FILES), WAYS[way], way)) is not None


WHOLE = {"tar": "tar cf y.tar -C $M . ; code=$?; mkdir y; tar xf y.tar -C y; (exit $code)", "rsync": "rsync -a $M/ y/",
         "cp": "cp -r $M y", "cp -a": "cp -a $M y", "busybox cp": "busybox cp -r $M y",
         "zip": "cd $M; zip -qry $T/o/y.zip . ; code=$?; cd $T/o; mkdir y; '%s' -m zipfile -e y.zip y; (exit $code)" % sys.executable,
         "grep": "grep -rc '' $M > counts"}


@pytest.mark.parametrize("tool", WHOLE)
def test_all_of_a_mount(full, tool):
    """It ends, holds what cat holds, and leaves what waits and the objects as they are. What is only for writing may not
    be read by an ordinary user, and nothing else fails."""
    m = full
    need(tool.split()[0])
    time.sleep(1.1)  # so long the kernel believes the times of progs/ as they were before the loads
    r = m.sh("cd $T/o; " + WHOLE[tool], check=False)
    said = [line for line in r.stderr.splitlines() if not re.search(r"Permission denied|Removing leading|in future", line)]
    if m.user:
        assert not re.search("shrank|changed|vanished|mapping|verification|Invalid|Input/output", r.stderr), r.stderr
    else:
        assert r.returncode == 0 and not said, r.stderr
    for name in [] if tool == "grep" else FILES:
        m.sh("cmp $M/%s $T/o/y/%s" % (name, name))
    m.sh("rm -rf $T/o/y")  # no directory of the copy is only for reading
    assert m.out("cat $M/maps/q/pop; ls $M/progs/tick/prog $M/maps/h/map | wc -l") == "5\n2\n"


@pytest.mark.parametrize("tail", ["tail", "busybox tail"])
def test_tail_follows_the_log(full, tail):
    """Every line that comes later, also beyond what the log has room for."""
    m = full
    need(tail.split()[0])
    with open(os.path.join(m.base, "seen"), "wb") as out:
        p = subprocess.Popen(tail.split() + ["-n", "+1", "-f", m.p("log")], stdout=out, stderr=subprocess.DEVNULL,
                             **as_user(m.user))
    try:
        last = 0
        for upto in 1, 2, 150, 300, 450, 600, 601:  # less than half of what there is room for, each time
            m.sh("for i in $(seq %d %d); do echo x > $M/maps/h/entries/$i; done 2> /dev/null; true" % (last + 1, upto))
            last = upto

            def seen():
                with open(os.path.join(m.base, "seen")) as f:
                    return f.read()
            wait_for(lambda: "entries/%d:" % upto in seen(), "line %d" % upto)
        for i in 1, 2, 300, 450, 600, 601:
            assert re.search(r"^20\S+ \S+ maps/h/entries/%d: write: EINVAL: .*\n" % i, seen(), re.M), i
    finally:
        p.kill()
        p.wait()


@pytest.mark.parametrize("name", ["maps/h/entries/44", "maps/h/dump"])
def test_an_editor_loses_no_edit(full, name):
    """vim compares times before it writes."""
    m = full
    vim = shutil.which("vim") or shutil.which("vim.tiny")
    need(vim or "vim")
    key = "" if "entries" in name else "44 "
    edits = "".join("1s/.*/%s%d/\nw!\nsilent !cat $M/maps/h/entries/44 >> $T/o/seen; sync $M/maps/h/map\n" % (key, i)
                    for i in range(1, 19))
    m.sh("cd $T/o; cat > script; HOME=$T/o %s -es -u NONE -n $M/%s < script" % (vim, name),
         stdin=("" if not key else "1,$d\n") + edits + "q!\n", check=False)
    assert m.out("cat $T/o/seen").split() == [str(i) for i in range(1, 19)]


def test_times_mislead_nobody(full):
    """What is written back, or read, is not newer."""
    m = full
    m.sh("cd $T/o; printf 'copy: %s/maps/h/dump\\n\\tcp $< $@\\n' $M > Makefile; make -s; touch ref")
    m.sh("echo 5 > $M/maps/h/entries/5; sync -f $M/maps/h/dump; cat $M/maps/h/dump > /dev/null; head -c 64 /dev/zero > $M/progs/tick/run; true")
    assert "up to date" in m.out("cd $T/o; make")
    assert m.out("find $M/maps $M/progs -type f -newer $T/o/ref") == ""
    if shutil.which("rsync"):
        m.sh("cd $T/o; echo mine > dump; touch -d 1minute dump; rsync -u $M/maps/h/dump dump; grep -x mine dump")


def test_a_web_server(full):
    m = full
    p = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "-d", m.path, "0"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd="/", **as_user(m.user))
    try:
        port = int(re.search(r"port (\d+)", p.stdout.readline()).group(1))
        for name in FILES:
            with urllib.request.urlopen("http://127.0.0.1:%d/%s" % (port, name)) as answer:
                assert len(answer.read()) == int(m.out("cat $M/%s | wc -c" % name)), name
    finally:
        p.kill()
        p.wait()


def content(path):
    with open(path, "rb") as f:
        return f.read()


def test_a_bad_packet_fails_the_command(m):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    prog = [name for name in os.listdir(m.p("progs")) if name not in ("new", "log")][0]
    with pytest.raises(OSError):
        with open(m.p("progs", prog, "run"), "wb") as f:
            f.write(b"short")


# What a shell's echo and printf write and close loses its close's error: whatever was ended must fail the write.
# By file: what ends in a newline, then words that printf writes without one.
ENDED = {"progs/new": (["hello", "#include <linux/bpf.h>", "1\\n6 0 0", "2\\n6 0 0 x"], ["hello"]),
         "progs/place/constants": (["limit", "limit 1\\nx"], ["limit", "limit 1\\nxy"]),
         "maps/half/type": (["has", "nosuch"], ["nosuch"]), "maps/half/key_size": (["x", "0x", "4 4"], ["4x"]),
         "maps/inner/inner_map": (["nosuch", "9999"], ["nosuch"]), "maps/h/keys": (["nu", "nosuch"], ["ip2"]),
         "maps/h/entries/44": (["x", "0x", "1 2", "{}"], ["x", "1\\n2x"]), "maps/h/type": (["hash", "xs"], ["hash"]),
         "maps/w/entries/1": (["07 07", "cpu1", "cpu1 07 07", "cpu99999 7"], ["cpu99999 7"]),
         "maps/v/entries/1": (["07 07", "zz"], ["zz"]), "maps/h/dump": (["x", "1", "1 2\\n3", "clear x"], ["x", "1 2\\n3 x"]),
         "maps/p/dump": (["1 cpu0", "1 cpu99999 1"], ["1 cpu99999 1"]), "maps/h/dump.json": (["x", '{"value":1}'], ["xx"]),
         "maps/q/push": (["x", "1 2", "1\\n2\\n3"], ["x", "1\\n2\\n3"]), "maps/b/has": (["77", "0x"], ["77"]),
         "maps/jumps/entries/0": (["nosuch"], ["nosuch"]), "maps/stacks/symbols": (["of", "x", "4194304"], ["x"]),
         "cgroup/A/ingress.attach": (["nosuch", "allow x", "tick"], ["nosuch", "deny\\nnosuch", "allow mul"]),
         "cgroup/A/egress.attach": ([""], ["tick"]), "cgroup/A/cgroup.procs": (["1", "x"], ["1", "x"]),
         "events/u/type": (["tim", "nosuch"], ["nosuch"]), "events/t/attach": (["nosuch"], ["nosuch"]),
         "events/perf/pid": (["al", "x"], ["alx"]), "events/perf/unwind": (["dwa"], ["dwx"]),
         "events/t/interval_ms": (["1"], ["1"]), "limits/default/jobs": (["non", "-1", "x"], ["nan"])}
MORE = ("set -e; mkdir $M/progs/place $M/events/u $M/events/perf; echo perf > $M/events/perf/type; cd $M/maps\n"
        "mkdir inner b jumps stacks; echo array_of_maps > inner/type; cd b\n"
        "echo bloom_filter > type; echo 4 > value_size; echo 9 > max_entries; cd ../jumps\n"
        "echo prog_array > type; echo 9 > max_entries; cd ../stacks; echo stack_trace > type; echo 80 > value_size\n"
        "echo 9 > max_entries")


@pytest.mark.parametrize("shell", ["bash", "dash", "busybox"])
def test_what_was_ended_fails_the_write(full, shell):
    """Also where a shell's builtin, or busybox's cat, does not look at what close says."""
    m = full
    need(shell)
    m.sh(MORE)
    through = " | busybox cat" if shell == "busybox" else ""
    script = "".join("printf -- '%s'%s > $M/%s && echo '%s: %s'\n" % (text, through, name, name, text)
                     for name, (lines, words) in ENDED.items() for text in [t + "\\n" for t in lines] + words)
    assert m.out("(%s) 2> /dev/null; true" % script, shell="bash" if through else shell) == ""
    assert set(ENDED) - {"progs/new"} <= set(re.findall(r"^20\S+ \S+ (\S+): write: ", m.log(), re.M))


def test_what_comes_in_pieces_is_awaited(m):
    """A byte at a time, or bytes of a value in any pieces: nothing has ended."""
    m.sh("mkdir $M/maps/a $M/maps/x; for w in type:hash key_size:4 value_size:0x8 max_entries:10; do printf ${w#*:} | "
         "dd of=$M/maps/a/${w%:*} bs=1 status=none; done; printf hex | dd of=$M/maps/a/keys bs=1 status=none\n"
         "cd $M/maps/x; echo hash > type; echo 4 > key_size; echo 5 > value_size; echo 10 > max_entries\n"
         "{ printf '01 02'; printf ' 03'; printf ' 04 05\\n'; } > entries/1")
    assert m.read("maps/a/keys") == "hex\n" and m.read("maps/x/dump") == "1 01 02 03 04 05\n"
    m.sh("mkdir $M/progs/p; printf 'limit 100\\nx 1\\n' | dd of=$M/progs/p/constants bs=1 status=none; "
         "printf 'y 2' >> $M/progs/p/constants")
    assert m.read("progs/p/constants") == "limit 100\nx 1\ny 2\n"


def test_one_cpu_of_a_value(m):
    m.sh("mkdir $M/maps/p; cd $M/maps/p; echo percpu_hash > type; echo 4 > key_size; echo 8 > value_size;"
         "echo 10 > max_entries; echo 7 > entries/1; echo 'cpu0 9' > entries/1")
    lines = content(m.p("maps/p/entries/1")).decode().split("\n")
    assert lines[0] == "cpu0 9" and all(line.endswith(" 7") for line in lines[1:-1])


@pytest.mark.parametrize("file", ["push", "dump"])
def test_a_tail_behind_a_full_buffer_fails_the_close(m, file):
    """512 bytes: whether the last line is whole only the close tells, and it carries what became of the line."""
    m.sh("mkdir $M/maps/q; cd $M/maps/q; echo queue > type; echo 1 > value_size; echo 600 > max_entries")
    full = "12\n" * 170
    fd = os.open(m.p("maps/q", file), os.O_WRONLY)
    os.write(fd, (full + "1x").encode())
    with pytest.raises(OSError) as e:
        os.close(fd)
    assert e.value.errno == errno.EINVAL
    assert content(m.p("maps/q/dump")).decode() == full
    fd = os.open(m.p("maps/q", file), os.O_WRONLY)
    os.write(fd, (full + "34").encode())
    os.close(os.dup(fd))
    os.close(fd)  # it acted, once
    assert content(m.p("maps/q/dump")).decode() == full * 2 + "34\n"
