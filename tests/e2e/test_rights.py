"""
Who may do what: the tables of docs/security.md, tried row by row as root, owner, member of the group and other user, with each
combination of bits; and the ways around them that were found: tokens, descriptors that were handed over, text that
is read by length.
"""
import contextlib
import errno
import fcntl
import itertools
import os
import re
import shutil
import socket
import stat
import struct

import pytest

import commands as c
from conftest import ROOT, USERS, make_mount, needs_root, obj

A, B = USERS  # A owns what is tried, B is in its group or not
GROUP = 54321
REFUSED = (errno.EACCES, errno.EPERM)
counter = itertools.count()


def act(user, fn, groups=()):
    """fn() as that user, in a process of its own: 0, or the errno of its OSError."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            if user != os.geteuid():
                os.setgroups(list(groups))
                os.setgid(user)
                os.setuid(user)
            fn()
            code = 0
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code != 255, "the test's own fault"
    return code


def read(path, flags=0):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def write(path, text, flags=0):
    fd = os.open(path, os.O_WRONLY | flags, 0o666)
    try:
        os.write(fd, text.encode() if isinstance(text, str) else text)
    finally:
        os.close(fd)


def set_bits(path, mode):
    os.chmod(path, mode)


class World:
    """A mount with one object of each kind, A's and of GROUP, and a place of their own for A and B."""

    def __init__(self, m):
        self.m = m
        for name, text in (("x", "hash 4 8 8"), ("q", "queue 0 8 8"), ("ring", "ringbuf 0 0 4096")):
            type, key_size, value_size, entries = text.split()
            self.make_map(name, type, key_size, value_size, entries)
            self.own("maps", name, "map")
        for name in ("tail_calls", "cgroup_verdicts", "typed"):
            m.load(name)
        self.own("maps", "typed.data", "map")
        self.filter = "tail_one"
        self.cgprog = "allow"
        for prog in (self.filter, self.cgprog):
            self.own("progs", prog, "prog")
        os.mkdir(m.p("progs", "place"))
        self.own("progs", "place")
        os.mkdir(m.p("cgroup", "c"))
        self.own("cgroup", "c")
        os.mkdir(m.p("events", "e"))
        write(m.p("events", "e", "type"), "timer\n")
        self.own("events", "e")
        os.mkdir(m.p("dir"))
        self.own("dir")
        for user in (0, A, B):
            at = str(user)
            for where in ("", "cgroup", "events"):
                os.mkdir(m.p(where, at))
            write(m.p("events", at, "type"), "timer\n")
            self.make_map("pa" + at, "prog_array", None, None, 4)
            self.make_map("mm" + at, "array_of_maps", None, None, 4, inner="x")
            os.mkdir(m.p("maps", "new" + at))
            write(m.p("maps", "new" + at, "type"), "array_of_maps\n")
            for path in ((at,), ("cgroup", at), ("events", at), ("maps", "pa" + at, "map"), ("maps", "mm" + at, "map"),
                         ("maps", "new" + at)):
                os.chown(m.p(*path), user, user)

    def make_map(self, name, type, key_size, value_size, entries, inner=None):
        d = self.m.p("maps", name)
        os.mkdir(d)
        write(d + "/type", type + "\n")
        if key_size not in (None, "0"):
            write(d + "/key_size", key_size + "\n")
        if value_size not in (None, "0"):
            write(d + "/value_size", value_size + "\n")
        if inner:
            write(d + "/inner_map", inner + "\n")
        write(d + "/max_entries", "%s\n" % entries)

    def own(self, *path):
        os.chown(self.m.p(*path), A, GROUP)

    def id(self, *path):
        return int(self.m.info(*path)["id"])

    def fresh(self):
        return "n%d" % next(counter)


@pytest.fixture(scope="module")
def w():
    needs_root("acts as several users")
    mount, dirs = make_mount("disk")
    try:
        yield World(mount.start())
    finally:
        mount.end()
        for d in dirs:
            shutil.rmtree(d, ignore_errors=True)


# ---- what each row of the tables does; it raises the OSError of the refusal


def me():
    return str(os.geteuid())


def map_file(name):
    return lambda w: read(w.m.p("maps", "x", name))


def prog_file(name):
    return lambda w: read(w.m.p("progs", w.filter, name))


def keeps(fn, prepare):
    """A row that needs something to be there: root puts it there before each try."""
    fn.prepare = prepare
    return fn


def put(name, text, *path):
    def prepare(w):
        with contextlib.suppress(OSError):  # it is there, or full
            write(w.m.p(*path, name), text, os.O_CREAT)
    return prepare


def close_all(*fds):
    for fd in fds:
        os.close(fd)


MAP_FILES = {
    "`type` read": map_file("type"),
    "`type` write": lambda w: write(w.m.p("maps", "x", "type"), "hash\n"),
    "`info`": map_file("info"),
    "`stats`": map_file("stats"),
    "`entries/` list": lambda w: os.listdir(w.m.p("maps", "x", "entries")),
    "`entries/<key>` read": keeps(lambda w: read(w.m.p("maps", "x", "entries", "1")), put("1", "7", "maps", "x", "entries")),
    "`entries/<key>` write": lambda w: write(w.m.p("maps", "x", "entries", "1"), "8", os.O_CREAT),
    "`entries/<key>` remove": keeps(lambda w: os.unlink(w.m.p("maps", "x", "entries", "1")),
                                    put("1", "7", "maps", "x", "entries")),
    "`dump` read": map_file("dump"),
    "`dump` write": lambda w: write(w.m.p("maps", "x", "dump"), "1 9\n"),
    "`dump.json`": map_file("dump.json"),
    "`dump.json` write": lambda w: write(w.m.p("maps", "x", "dump.json"), '[{"key":1,"value":9}]\n'),
    "`keys` read": map_file("keys"),
    "`keys` write": lambda w: write(w.m.p("maps", "x", "keys"), "number\n"),
    "`vars/` list": lambda w: os.listdir(w.m.p("maps", "typed.data", "vars")),
    "`vars/<name>` read": lambda w: read(w.m.p("maps", "typed.data", "vars", "mode")),
    "`vars/<name>` write": lambda w: write(w.m.p("maps", "typed.data", "vars", "mode"), "OFF\n"),
    "`raw`": map_file("raw"),
    "`push`": lambda w: write(w.m.p("maps", "q", "push"), "5\n"),
    "`peek`": lambda w: read(w.m.p("maps", "q", "peek")),
    "`pop`": keeps(lambda w: read(w.m.p("maps", "q", "pop")), put("push", "5\n", "maps", "q")),
    "`records`": lambda w: read(w.m.p("maps", "ring", "records")),
    "`ids/map/<id>` read": lambda w: close_all(c.open_id(w.m, "map", w.x_id, os.O_RDONLY)),
    "`ids/map/<id>` write": lambda w: close_all(c.open_id(w.m, "map", w.x_id, os.O_WRONLY)),
    "`map` link": lambda w: os.link(w.m.p("maps", "x", "map"), w.m.p(me(), w.next)),
    "`map` chmod": lambda w: os.chmod(w.m.p("maps", "x", "map"), 0o600),
    "`inner_map` of another map": lambda w: write(w.m.p("maps", "new" + me(), "inner_map"), "x\n"),
    "slot of a map of maps": lambda w: write(w.m.p("maps", "mm" + me(), "dump"), "0 x\n"),
}
PROG_FILES = {
    "`info` of a program": prog_file("info"),
    "`maps/` of a program list": lambda w: os.listdir(w.m.p("progs", w.filter, "maps")),
    "`xlated`": prog_file("xlated"),
    "`jited`": prog_file("jited"),
    "`log` of a program": prog_file("log"),
    "`stats` of a program": prog_file("stats"),
    "`run`": lambda w: write(w.m.p("progs", w.filter, "run"), bytes(64)),
    "`ids/prog/<id>` read": lambda w: close_all(c.open_id(w.m, "prog", w.prog_id, os.O_RDONLY)),
    "`prog` link": lambda w: os.link(w.m.p("progs", w.filter, "prog"), w.m.p(me(), w.next)),
    "`prog` chmod": lambda w: os.chmod(w.m.p("progs", w.filter, "prog"), 0o600),
    "slot of a prog array": lambda w: write(w.m.p("maps", "pa" + me(), "dump"), "0 %s\n" % w.filter),
    "`ingress.attach` of one's own cgroup": lambda w: write(w.m.p("cgroup", me(), "ingress.attach"), w.cgprog + "\n"),
    "`attach` of one's own event source": lambda w: write(w.m.p("events", me(), "attach"), w.filter + "\n"),
}
DIRECTORIES = {
    "`mkdir` in `maps/`": ("maps", lambda w: os.mkdir(w.m.p("maps", w.next))),
    "`progs/new`": ("progs", lambda w: os.close(os.open(w.m.p("progs", "new"), os.O_WRONLY))),
    "`mkdir` in `progs/`": ("progs", lambda w: os.mkdir(w.m.p("progs", w.next))),
    "`constants` of a load directory read": ("progs/place", lambda w: read(w.m.p("progs", "place", "constants"))),
    "`constants` of a load directory write": ("progs/place", lambda w: write(w.m.p("progs", "place", "constants"), "clear\n")),
    "`mkdir` in a cgroup": ("cgroup/c", lambda w: os.mkdir(w.m.p("cgroup", "c", w.next))),
    "`ingress.attach`": ("cgroup/c", lambda w: write(w.m.p("cgroup", "c", "ingress.attach"), w.cgprog + "\n")),
    "`ingress.run`": ("cgroup/c", lambda w: write(w.m.p("cgroup", "c", "ingress.run"), bytes(64))),
    "`ingress.effective`": ("cgroup/c", lambda w: read(w.m.p("cgroup", "c", "ingress.effective"))),
    "`stats` of a cgroup": ("cgroup/c", lambda w: read(w.m.p("cgroup", "c", "stats"))),
    "`mkdir` in `events/`": ("events", lambda w: os.mkdir(w.m.p("events", w.next))),
    "attribute of a source read": ("events/e", lambda w: read(w.m.p("events", "e", "interval_ms"))),
    "attribute of a source write": ("events/e", lambda w: write(w.m.p("events", "e", "interval_ms"), "1000\n")),
    "`mkdir` in a directory of one's own": ("dir", lambda w: os.mkdir(w.m.p("dir", w.next))),
    "`symlink`": ("dir", lambda w: os.symlink("x", w.m.p("dir", w.next))),
    "`unlink` of a pin": ("dir", keeps(lambda w: os.unlink(w.m.p("dir", "pin")), lambda w: pin(w))),
    "`rename` of a pin": ("dir", keeps(lambda w: os.rename(w.m.p("dir", "pin"), w.m.p("dir", w.next)), lambda w: pin(w))),
}


def pin(w):
    with contextlib.suppress(FileExistsError):
        os.link(w.m.p("maps", "x", "map"), w.m.p("dir", "pin"))


def load_with(insns):
    def fn(w, fd):
        ctl = os.open(w.m.p("ctl"), os.O_RDWR)
        try:
            c.prog_load(ctl, insns, [c.token(fd)])
        finally:
            os.close(ctl)
    return fn


def freeze_another(w, fd):
    """A map is frozen once, so each access mode has a map of its own."""
    ctl = os.open(w.m.p("ctl"), os.O_RDWR)
    try:
        other = c.open_id(w.m, "map", c.map_create(ctl, 1, 4, 8, 4), fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE)
        try:
            c.call(other, c.MAP_FREEZE)
        finally:
            os.close(other)
    finally:
        os.close(ctl)


def bind(w, fd):
    with open(w.m.p("maps", "x", "map"), "rb") as f:
        c.call(fd, c.PROG_BIND_MAP, struct.pack("=Q", c.token(f.fileno())))


ON_MAP, ON_PROG = ("maps", "x", "map"), ("progs", "tail_one", "prog")
COMMANDS = {
    "`UBPFFS_MAP_LOOKUP_ELEM`": (ON_MAP, lambda w, fd: c.call(fd, c.MAP_LOOKUP_ELEM, c.key(1), 8)),
    "`UBPFFS_MAP_UPDATE_ELEM`": (ON_MAP, lambda w, fd: c.call(fd, c.MAP_UPDATE_ELEM, c.key(1) + c.value(1))),
    "`UBPFFS_MAP_DELETE_ELEM`": (ON_MAP, lambda w, fd: c.call(fd, c.MAP_DELETE_ELEM, c.key(1))),
    "`UBPFFS_MAP_GET_NEXT_KEY`": (ON_MAP, lambda w, fd: c.call(fd, c.MAP_GET_NEXT_KEY, b"", 4)),
    "`UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM`": (
        ON_MAP, lambda w, fd: c.call(fd, c.MAP_LOOKUP_AND_DELETE_ELEM, c.key(1), 8)),
    "`UBPFFS_MAP_LOOKUP_BATCH`": (ON_MAP, lambda w, fd: c.call(fd, c.MAP_LOOKUP_BATCH, b"", 12, count=1)),
    "`UBPFFS_MAP_UPDATE_BATCH`": (
        ON_MAP, lambda w, fd: c.call(fd, c.MAP_UPDATE_BATCH, c.key(1) + c.value(1), count=1)),
    "`UBPFFS_MAP_DELETE_BATCH`": (ON_MAP, lambda w, fd: c.call(fd, c.MAP_DELETE_BATCH, c.key(1), count=1)),
    "`UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH`": (
        ON_MAP, lambda w, fd: c.call(fd, c.MAP_LOOKUP_AND_DELETE_BATCH, b"", 12, count=1)),
    "`UBPFFS_OBJ_TOKEN`": (ON_MAP, lambda w, fd: c.token(fd)),
    "a load that reads the map of a token": (ON_MAP, load_with(c.reading())),
    "a load that writes the map of a token": (ON_MAP, load_with(c.updating())),
    "`UBPFFS_OBJ_GET_INFO` of a map": (ON_MAP, lambda w, fd: c.call(fd, c.OBJ_GET_INFO, b"", 80)),
    "`UBPFFS_OBJ_GET_INFO` of a program": (ON_PROG, lambda w, fd: c.call(fd, c.OBJ_GET_INFO, b"", 232)),
    "`UBPFFS_PROG_TEST_RUN`": (ON_PROG, lambda w, fd: c.test_run(fd)),
    "`UBPFFS_PROG_BIND_MAP`": (ON_PROG, bind),
    "`UBPFFS_PUT`": (ON_MAP, lambda w, fd: c.call(fd, c.PUT, b"x", xfer=1)),
    "`UBPFFS_MAP_FREEZE`": (ON_MAP, freeze_another),
}


def tables():
    """{heading: {row: what it asks for}} of docs/security.md."""
    out, at = {}, None
    with open(os.path.join(ROOT, "docs", "security.md")) as f:
        for line in f:
            if line.startswith("#"):
                at = out.setdefault(line.strip("# \n"), {})
            found = re.match(r"\| (.*?) \| (.*?) \|$", line)
            if found and found[1] not in ("file", "what", "command", "---"):
                at[found[1]] = found[2]
    return {heading.split(" (")[0]: rows for heading, rows in out.items() if rows}


TABLES = tables()
ASKS = {"read": 4, "write": 2, "read and write": 6, "nothing": 0}


def may(asks, bits, owner):
    """Does a member of a class with these bits get what a row asks for?"""
    if asks.startswith("own"):
        return owner and (asks == "own" or may(asks[len("own and "):], bits, owner))
    if asks.endswith(", or own"):
        return owner or may(asks[:-len(", or own")], bits, owner)
    return bits & ASKS[asks] == ASKS[asks]


def test_tables_are_complete():
    """Each row of the document has its test, and each test its row."""
    for heading, rows in (("Files of a map", MAP_FILES), ("Files of a program", PROG_FILES),
                          ("Directories", DIRECTORIES), ("Commands", COMMANDS)):
        assert sorted(TABLES[heading]) == sorted(rows), heading


CLASSES = (("owner", A, (), 6), ("group", B, (GROUP,), 3), ("other", B, (), 0))


def try_row(w, row, asks, targets, fn, extra=0):
    """Every class with every combination of bits; the other classes have the complement, so that they would show."""
    wrong = []

    def once(who, user, groups, expected, bits=7):
        if hasattr(fn, "prepare"):
            fn.prepare(w)
        w.next = w.fresh()
        code = act(user, lambda: fn(w), groups)
        if (code not in REFUSED) != expected:
            wrong.append("%s as %s with %d: %s" % (row, who, bits, errno.errorcode.get(code, code)))

    try:
        for target in targets:
            os.chmod(w.m.p(*target), extra)
        once("root", 0, (), True)
        for who, user, groups, shift in CLASSES:
            for bits in (0, 2, 4, 6):
                mode = 0o666 & ~(6 << shift) | bits << shift
                for target in targets:
                    os.chmod(w.m.p(*target), mode | extra)
                once(who, user, groups, may(asks, bits, who == "owner"), bits)
    finally:
        for target in targets:
            os.chmod(w.m.p(*target), 0o777 if stat.S_ISDIR(os.stat(w.m.p(*target)).st_mode) else 0o666)
    assert not wrong, wrong


def test_files_of_a_map(w):
    w.x_id = w.id("maps", "x", "info")
    targets = [("maps", n, "map") for n in ("x", "q", "ring", "typed.data")]
    for row, asks in TABLES["Files of a map"].items():
        try_row(w, row, asks, targets, MAP_FILES[row])


def test_files_of_a_program(w):
    w.prog_id = w.id("progs", w.filter, "info")
    targets = [("progs", p, "prog") for p in (w.filter, w.cgprog)]
    for row, asks in TABLES["Files of a program"].items():
        try_row(w, row, asks, targets, PROG_FILES[row])


def test_directories(w):
    for row, asks in TABLES["Directories"].items():
        path, fn = DIRECTORIES[row]
        target = tuple(path.split("/"))
        was = os.stat(w.m.p(*target))
        if len(target) == 1:
            os.chown(w.m.p(*target), A, GROUP)
        try:
            try_row(w, row, asks, [target], fn, extra=0o111)
        finally:
            os.chown(w.m.p(*target), was.st_uid, was.st_gid)
            os.chmod(w.m.p(*target), was.st_mode & 0o7777)


def test_commands(w):
    """What counts is how the descriptor was opened; 3 is open(2)'s way to a descriptor for ioctls alone."""
    wrong = []
    for row, asks in TABLES["Commands"].items():
        target, fn = COMMANDS[row]
        for flags, bits in ((os.O_RDONLY, 4), (os.O_WRONLY, 2), (os.O_RDWR, 6), (3, 0)):
            fd = os.open(w.m.p(*target), flags)
            try:
                fn(w, fd)
                code = 0
            except OSError as e:
                code = e.errno
            os.close(fd)
            if (code not in REFUSED) != may(asks, bits, False):
                wrong.append("%s with %d: %s" % (row, bits, errno.errorcode.get(code, code)))
    assert not wrong, wrong


# ---- around the table


@pytest.fixture
def ctl(m):
    fd = os.open(m.p("ctl"), os.O_RDWR)
    yield fd
    os.close(fd)


def refused(err, fn, *args, **kwargs):
    with pytest.raises(OSError) as e:
        fn(*args, **kwargs)
    assert e.value.errno == err, errno.errorcode[e.value.errno]


def read_only_token(m, number):
    fd = c.open_id(m, "map", number, os.O_RDONLY)
    return fd, c.token(fd)


def test_a_program_gets_no_more_than_the_descriptor(m, ctl):
    """Every way of a program to change a map, with a token of a read-only descriptor; and of one that may write."""
    fill = c.key_on_stack() + c.insn(0x7a, 10, 0, -16, 1)
    writers = {
        "update": (c.HASH, 4, 8, c.updating()),
        "delete": (c.HASH, 4, 8, c.updating(helper=3)),
        "store through a value": (c.HASH, 4, 8, c.storing()),
        "store at a constant address": (c.ARRAY, 4, 8, c.ld_map(1, 0, 0) + c.insn(0x7a, 1, 0, 0, 1) + c.EXIT),
        "add": (c.ARRAY, 4, 8, c.ld_map(1, 0, 0) + c.insn(0xb7, 2, imm=1) + c.insn(0xdb, 1, 2) + c.EXIT),
        "load into a value": (c.ARRAY, 4, 8, c.insn(0xbf, 6, 1) + c.ld_map(7, 0, 0) + c.call_helper(
            26, c.insn(0xbf, 1, 6), c.insn(0xb7, 2), c.insn(0xbf, 3, 7), c.insn(0xb7, 4, imm=8)) + c.EXIT),
        "push": (c.QUEUE, 0, 8, fill + c.call_helper(87, c.ld_map(1, 0), c.stack_pointer(2, -16), c.insn(0xb7, 3)) + c.EXIT),
        "pop": (c.QUEUE, 0, 8, fill + c.call_helper(88, c.ld_map(1, 0), c.stack_pointer(2, -16)) + c.EXIT),
        "ring output": (c.RINGBUF, 0, 0, fill + c.call_helper(
            130, c.ld_map(1, 0), c.stack_pointer(2, -16), c.insn(0xb7, 3, imm=8), c.insn(0xb7, 4)) + c.EXIT),
        "ring reserve": (c.RINGBUF, 0, 0, c.call_helper(131, c.ld_map(1, 0), c.insn(0xb7, 2, imm=8), c.insn(0xb7, 3)) +
                         c.insn(0x15, 0, 0, 3) + c.insn(0xbf, 1, 0) + c.insn(0xb7, 2) + c.insn(0x85, imm=132) + c.EXIT),
        "tail call": (c.PROG_ARRAY, 4, 4, c.call_helper(12, c.ld_map(2, 0), c.insn(0xb7, 3)) + c.EXIT),
    }

    def loads(insns, *tokens):
        try:
            return c.prog_load(ctl, insns, tokens)
        except OSError as e:
            return pytest.fail("%s: %s" % (what, e))

    for what, (type, key_size, value_size, insns) in writers.items():
        number = c.map_create(ctl, type, key_size, value_size, {c.RINGBUF: 4096, c.ARRAY: 1}.get(type, 4))
        fd = c.open_id(m, "map", number)
        assert loads(insns, c.token(fd)), what
        lent, token = read_only_token(m, number)
        with pytest.raises(OSError) as e:
            c.prog_load(ctl, insns, [token])
        assert e.value.errno == errno.EACCES, what
        # two references: what the other one may, the program may
        assert loads(insns, token, c.token(fd)), what
        close_all(fd, lent)


def test_what_comes_out_of_a_read_only_map_of_maps(m, ctl):
    inner = c.map_create(ctl, c.HASH, 4, 8, 4)
    held = c.open_id(m, "map", inner)
    outer = c.map_create(ctl, c.ARRAY_OF_MAPS, 4, 4, 1, inner=inner)
    fd = c.open_id(m, "map", outer)
    c.call(fd, c.MAP_UPDATE_ELEM, c.key(0) + c.key(inner))
    write_inner = (c.key_on_stack() + c.insn(0x7a, 10, 0, -16, 1) +
                   c.call_helper(1, c.ld_map(1, 0), c.stack_pointer(2, -4)) + c.insn(0x15, 0, 0, 7) +
                   c.insn(0xbf, 1, 0) + c.call_helper(2, c.stack_pointer(2, -4), c.stack_pointer(3, -16), c.insn(0xb7, 4)) +
                   c.EXIT)
    lent, token = read_only_token(m, outer)
    refused(errno.EACCES, c.prog_load, ctl, write_inner, [token])
    assert c.prog_load(ctl, write_inner, [c.token(fd)])
    close_all(held, fd, lent)


def test_reading_programs_load_with_a_read_only_token(m, ctl):
    number = c.map_create(ctl, c.HASH, 4, 8, 4)
    lent, token = read_only_token(m, number)
    assert c.prog_load(ctl, c.reading(), [token])
    os.close(lent)


def test_pin_asks_what_a_link_asks(m):
    needs_root("acts as another user")
    m.sh("mkdir $M/maps/h $M/b; cd $M/maps/h; echo hash > type; echo 4 > key_size; echo 8 > value_size; "
         "echo 4 > max_entries; chmod 644 map; chown %d $M/b" % B)

    def pinning(flags):
        fd = os.open(m.p("maps", "h", "map"), flags)
        c.call(fd, c.OBJ_PIN, b"b/pin\0")

    assert act(B, lambda: pinning(os.O_RDONLY)) == errno.EPERM
    assert act(B, lambda: os.link(m.p("maps", "h", "map"), m.p("b", "l"))) == errno.EPERM
    os.chmod(m.p("maps", "h", "map"), 0o666)
    assert act(B, lambda: pinning(os.O_RDWR)) == 0
    # as the owner: the bits do not matter
    os.chown(m.p("maps", "h", "map"), B, B)
    os.chmod(m.p("maps", "h", "map"), 0o400)
    os.unlink(m.p("b", "pin"))
    assert act(B, lambda: pinning(os.O_RDONLY)) == 0


def handed_over(user, opening, groups=()):
    """A descriptor that this user opened, in our hands; the user is gone."""
    ours, theirs = socket.socketpair()

    def give():
        socket.send_fds(theirs, [b"x"], [opening()])

    assert act(user, give, groups) == 0
    fds = socket.recv_fds(ours, 1, 1)[1]
    ours.close()
    theirs.close()
    return fds[0]


def test_names_count_with_the_rights_of_who_opened(m):
    """What root writes into a descriptor of an ordinary user is that user's name, in text and in commands."""
    needs_root("hands over descriptors")
    m.load("tail_calls")
    m.load("cgroup_verdicts")
    m.sh("chmod 600 $M/progs/*/prog; mkdir $M/maps/secret; cd $M/maps/secret; echo hash > type; echo 4 > key_size; "
         "echo 8 > value_size; echo 4 > max_entries; chmod 600 map; mkdir $M/cgroup/a; chown %d $M/cgroup/a; "
         "mkdir $M/roots; chmod 755 $M/roots" % A)
    m.sh("mkdir $M/maps/pa; echo prog_array > $M/maps/pa/type; echo 4 > $M/maps/pa/max_entries; "
         "mkdir $M/maps/mm; echo array_of_maps > $M/maps/mm/type; mkdir $M/events/e; echo timer > $M/events/e/type", user=A)
    prog = int(m.info("progs", "tail_one", "info")["id"])
    inner = int(m.info("maps", "secret", "info")["id"])

    def opened(flags, *path):
        return handed_over(A, lambda: os.open(m.p(*path), flags, 0o666))

    for text, path in ((b"tail_one\n", ("maps", "pa", "entries", "0")), (b"0 tail_one\n", ("maps", "pa", "dump")),
                       (b"secret\n", ("maps", "mm", "inner_map")), (b"allow\n", ("cgroup", "a", "ingress.attach")),
                       (b"tail_one\n", ("events", "e", "attach"))):
        fd = opened(os.O_WRONLY | os.O_CREAT, *path)
        refused(errno.EACCES, os.write, fd, text)
        os.close(fd)
    fd = opened(os.O_RDWR, "maps", "pa", "map")
    refused(errno.EACCES, c.call, fd, c.MAP_UPDATE_ELEM, c.key(0) + c.key(prog))
    refused(errno.EACCES, c.call, fd, c.MAP_UPDATE_BATCH, c.key(0) + c.key(prog), count=1)
    refused(errno.EACCES, c.call, fd, c.OBJ_PIN, b"roots/pin\0")
    os.close(fd)
    fd = opened(os.O_RDWR, "ctl")
    refused(errno.EACCES, c.map_create, fd, c.ARRAY_OF_MAPS, 4, 4, 4, inner=inner)
    number = c.map_create(fd, c.HASH, 4, 8, 4)
    assert os.stat(m.p("ids", "map", str(number))).st_uid == A
    os.close(fd)
    fd = opened(os.O_WRONLY, "progs", "new")
    os.write(fd, obj("count_ports"))
    os.close(fd)
    assert os.stat(m.p("progs", "count_ports", "prog")).st_uid == A
    assert "loaded" in m.out("cat $M/progs/log", user=A)


def test_the_openers_groups_are_kept(m):
    """Supplementary groups count as they were at the open, also when the opener is gone; the writer's do not."""
    needs_root("hands over descriptors")
    m.load("tail_calls")
    m.sh("chmod 060 $M/progs/tail_one/prog; chgrp %d $M/progs/tail_one/prog" % GROUP)
    m.sh("mkdir $M/maps/pa; echo prog_array > $M/maps/pa/type; echo 4 > $M/maps/pa/max_entries; chmod 666 $M/maps/pa/map")

    def opening():
        return os.open(m.p("maps", "pa", "entries", "0"), os.O_WRONLY | os.O_CREAT, 0o666)

    fd = handed_over(A, opening)
    assert act(B, lambda: os.write(fd, b"tail_one\n"), (GROUP,)) == errno.EACCES
    os.close(fd)
    fd = handed_over(A, opening, (GROUP,))
    assert act(B, lambda: os.write(fd, b"tail_one\n")) == 0
    os.close(fd)
    assert m.read("maps", "pa", "entries", "0").strip() == m.info("progs", "tail_one", "info")["id"]


def test_links_in_everybodys_directories(m):
    """Where everybody makes names, nobody is led by another's link (fs.protected_symlinks)."""
    needs_root("acts as several users")
    m.load("tail_calls")
    m.sh("mkdir $M/d; chmod 1777 $M/d; chmod 666 $M/progs/tail_one/prog; ln $M/progs/tail_one/prog $M/d/pin")
    m.sh("ln -s pin $M/d/link", user=A)
    m.sh("mkdir $M/maps/pa; echo prog_array > $M/maps/pa/type; echo 4 > $M/maps/pa/max_entries; chmod 666 $M/maps/pa/map")
    m.fails("echo d/link > $M/maps/pa/entries/0", "", user=B)
    m.sh("echo d/link > $M/maps/pa/entries/0", user=A)
    m.sh("chmod 1755 $M/d")
    m.sh("echo d/link > $M/maps/pa/entries/0", user=B)


def test_only_what_was_written_is_told(m):
    """No sentence shows what lies behind a text in the server's memory; a NUL ends nothing early."""
    m.sh("mkdir $M/maps/x $M/maps/pa; echo prog_array > $M/maps/pa/type; echo 4 > $M/maps/pa/max_entries; "
         "mkdir $M/events/e; echo timer > $M/events/e/type")
    m.load("tail_calls")
    for n in (8, 24, 56, 120, 200, 248, 255, 256, 257):
        text = b"A" * n
        refused(errno.EFBIG if n > 256 else errno.EINVAL, write, m.p("maps", "x", "type"), text)
        line = m.read("log").splitlines()[-1]
        assert set(re.sub(r".*write: E[A-Z]+: |(is no map type|more than 256 bytes are no value here).*", "", line).strip()) <= {"A"}, line
    for path, text in ((("maps", "x", "type"), b"hash\0\n"), (("maps", "x", "key_size"), b"4\0\n"),
                       (("maps", "pa", "entries", "0"), b"tail_one\0x\n"), (("events", "e", "interval_ms"), b"9\0\n"),
                       (("events", "e", "attach"), b"tail_one\0x\n"), (("cgroup", "ingress.attach"), b"tail_one\0x\n")):
        refused(errno.EINVAL, write, m.p(*path), text, os.O_CREAT)


def test_names_of_commands(m, ctl):
    """bpf(2) takes letters, digits, _ and . in a name: what is printed later is one word."""
    for name in (b"a/b", b"a b", b"a\nb", b"%s%n", b"../../x", b"x" * 16, b"\xff"):
        refused(errno.EINVAL, c.map_create, ctl, c.HASH, 4, 8, 4, name=name)
        refused(errno.EINVAL, c.prog_load, ctl, c.EXIT, name=name)
    assert c.map_create(ctl, c.HASH, 4, 8, 4, name=b"a_b.C9") and c.prog_load(ctl, c.EXIT, name=b"a_b.C9")


MAPS = {  # type: key_size, value_size, max_entries, flags
    1: (4, 8, 4, 0), 2: (4, 8, 4, 0), 3: (4, 4, 4, 0), 4: (4, 4, 4, 0), 5: (4, 8, 4, 0), 6: (4, 8, 4, 0), 7: (4, 64, 4, 0),
    9: (4, 8, 4, 0), 10: (4, 8, 4, 0), 11: (8, 8, 4, 1), 12: (4, 4, 4, 0), 13: (4, 4, 4, 0), 19: (16, 8, 0, 0),
    21: (16, 8, 0, 0), 22: (0, 8, 4, 0), 23: (0, 8, 4, 0), 27: (0, 0, 4096, 0), 30: (0, 8, 4, 0)}


def test_every_command_on_every_map(m, ctl):
    """Each command with sizes, counts and cursors that fit, almost fit and never fit: an errno, and the server lives."""
    template = c.map_create(ctl, 1, 4, 8, 4)
    held = c.open_id(m, "map", template)
    for type, (key_size, value_size, entries, flags) in MAPS.items():
        number = c.map_create(ctl, type, key_size, value_size, entries, flags, template if type in (12, 13) else 0)
        fd = c.open_id(m, "map", number)
        pair = key_size + max(value_size, 8)
        sizes = sorted({0, 1, key_size, value_size, pair, pair * 2, 64, c.IO_MAX - c.IO.size, 1 << 31, (1 << 32) - 1})
        commands = [nr for nr in (*range(1, 11), *range(24, 28), c.GET, c.PUT) if nr != c.MAP_FREEZE]
        for nr in (*commands, c.MAP_FREEZE):  # a frozen map takes no updates
            for in_len in sizes:
                for out_len in (0, pair, (1 << 32) - 1):
                    for count in (0, 1, (1 << 32) - 1):
                        for xfer, cursor in ((0, 0), (7, 0), (0, 5)):
                            size = min(max(in_len, out_len if out_len <= pair else 0, 64), c.IO_MAX - c.IO.size)
                            try:
                                c.raw(fd, nr, b"\1" * min(in_len, 64), size, in_len=in_len, out_len=out_len, count=count,
                                      xfer=xfer, cursor=cursor)
                            except OSError as e:
                                assert 0 < e.errno < 134, (type, nr, in_len, out_len, count, e)
        for nr in (c.MAP_LOOKUP_BATCH, c.MAP_UPDATE_BATCH, c.MAP_DELETE_BATCH):
            if not key_size:
                refused(errno.EOPNOTSUPP, c.call, fd, nr, bytes(16), 16, count=1)
        os.close(fd)
    os.close(held)
    assert m.read("version")


def test_every_number_of_an_ioctl(m, ctl):
    """Any number, direction and size on any file, another magic number: an errno of ioctl(2), and nothing is done."""
    m.load("count_ports")
    files = [ctl, c.open_id(m, "map", c.map_create(ctl, 1, 4, 8, 4)), c.open_id(m, "prog", c.prog_load(ctl, c.EXIT))]
    files += [os.open(m.p(*f), os.O_RDONLY | os.O_NONBLOCK) for f in (("version",), ("maps",), ("log",), ("trace_pipe",))]
    for fd in files:
        for nr in range(256):
            for way in range(4):
                for size in (0, 1, c.IO.size - 1, c.IO.size, c.IO.size + 8, c.IO_MAX) if nr < 64 else (0, c.IO.size):
                    for magic in (0xbf, 0xbe) if size == c.IO.size else (0xbf,):
                        command = way << 30 | size << 16 | magic << 8 | nr
                        try:
                            fcntl.ioctl(fd, command, bytearray(max(size, 1)), True)
                            done = True
                        except OSError as e:
                            assert 0 < e.errno < 134, (hex(command), e)
                            done = False
                        assert not done or (magic == 0xbf and nr in c.COMMANDS and size >= c.IO.size and way == 3), hex(command)
    assert m.read("version")
    for fd in files[1:]:
        os.close(fd)
