"""
The N-th failure loop: the 1st, 2nd, 3rd ... call of a class fails (tests/preload/failnth.c), once or from then on, until
what is tried succeeds. After each: the server lives, a failure has an errno that says what is short, the same
thing succeeds without the failure, and nothing is lost or left behind.

    UBPFFS_BUILD=build /usr/bin/python3 tests/e2e/failnth.py [-s SECONDS] [-c CLASS,...] [-o OPERATION,...]

does it in full (as root or not; part of `make fuzz`); test_failnth.py takes a sample.
"""
import ctypes
import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import conftest  # noqa: E402
from conftest import BUILD, PROGS, SLOW, WAIT, Mount  # noqa: E402

CLASSES = ["none", "open", "stat", "read", "write", "alloc", "mmap", "space", "name", "owner", "fork", "socket", "device"]
TRIED = CLASSES[1:-1]  # an end of the connection is no failure of an operation
LIBRARY = os.path.join(BUILD, "tests", "failnth.so")
# What a client may be told. EACCES is a verdict, and no verdict may come of a failure that passes.
HONEST = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EIO, errno.EAGAIN, errno.EFAULT, errno.EBADMSG}

# A file that cannot be unlinked, or of which nobody knows how many names it has, is there until the next start.
UNSURE = {"name", "stat"}


class Injector:
    """The page that the server shares (struct fail_control)."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(4096))
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)

    def arm(self, kind, n, sticky=False):
        struct.pack_into("<iiqqq", self.page, 0, 0, sticky, 0, 0, 0)
        struct.pack_into("<q", self.page, 8, n)
        struct.pack_into("<i", self.page, 0, CLASSES.index(kind))

    def fired(self):
        return struct.unpack_from("<q", self.page, 24)[0]

    def disarm(self):
        """How many calls failed."""
        fired = self.fired()
        struct.pack_into("<iiqqq", self.page, 0, 0, 0, 0, 0, 0)
        return fired

    def count(self, kind, do):
        """How many calls of the class do() makes."""
        self.arm(kind, 1 << 40)
        do()
        seen = struct.unpack_from("<q", self.page, 16)[0]
        self.disarm()
        return seen

    def environment(self):
        env = {"LD_PRELOAD": LIBRARY, "FAILNTH": self.path}
        if os.environ.get("UBPFFS_SAN"):
            env["ASAN_OPTIONS"] = "verify_asan_link_order=0:abort_on_error=0:exitcode=99:allocator_may_return_null=1"
        return env


def numbers(sample):
    """1, 2, 3, ...; of a sample only some, further and further apart."""
    n = 1
    while True:
        yield n
        n += 1 + n // 2 if sample else 1


# ---- what is tried: do() raises OSError when it failed; undo() takes back what is there of it, all, some or none

def write(path, data, flags=os.O_WRONLY):
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.write(fd, data if isinstance(data, bytes) else data.encode())
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def load(m, name):
    with open(os.path.join(PROGS, name + ".bpf.o"), "rb") as f:
        write(m.p("progs", "new"), f.read())


def remove(path):
    """What is there of it: a pin, a link, a directory with or without its object."""
    if os.path.isdir(path) and not os.path.islink(path):
        for file in "prog", "map", "attach":
            if os.path.lexists(os.path.join(path, file)):
                os.unlink(os.path.join(path, file))
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


MAPS = {
    "hash": dict(key_size=4, value_size=8, max_entries=100),
    "lru_hash": dict(key_size=4, value_size=8, max_entries=100),
    "percpu_hash": dict(key_size=4, value_size=8, max_entries=100),
    "array": dict(value_size=8, max_entries=100),
    "percpu_array": dict(value_size=8, max_entries=100),
    "lpm_trie": dict(map_flags=1, key_size=8, value_size=8, max_entries=100),
    "queue": dict(value_size=8, max_entries=100),
    "stack": dict(value_size=8, max_entries=100),
    "bloom_filter": dict(value_size=8, max_entries=100),
    "ringbuf": dict(max_entries=4096),
    "prog_array": dict(max_entries=8),
    "perf_event_array": dict(max_entries=8),
    "stack_trace": dict(value_size=80, max_entries=16),
    "array_of_maps": dict(inner_map="h", max_entries=8),
    "hash_of_maps": dict(inner_map="h", key_size=4, max_entries=8),
    "cgroup_storage": dict(key_size=8, value_size=8),
}


def make_map(m, name, kind, **attributes):
    path = m.p("maps", name)
    os.mkdir(path)
    write(os.path.join(path, "type"), kind)
    for attribute, value in attributes.items():
        write(os.path.join(path, attribute), str(value))


def operations(m):
    """The map h, the program count_ports (and what it needs) and the cgroup g are there."""
    maps, progs = m.p("maps"), m.p("progs")
    ops = {}

    def op(name, do, undo=lambda: None):
        ops[name] = do, undo

    for name in ("global_data", "map_in_map", "functions", "ringbuf"):
        def unload(before=set(os.listdir(progs))):
            for prog in set(os.listdir(progs)) - before:
                remove(os.path.join(progs, prog))
        op("load " + name, lambda name=name: load(m, name), unload)
    for kind, attributes in MAPS.items():
        op("map " + kind, lambda kind=kind, attributes=attributes: make_map(m, "new", kind, **attributes),
           lambda: remove(os.path.join(maps, "new")))
    h, entry = os.path.join(maps, "h"), os.path.join(maps, "h", "entries", "77")
    op("update", lambda: write(entry, "5\n", os.O_WRONLY | os.O_CREAT), lambda: remove(entry))
    op("lookup", lambda: read(os.path.join(h, "entries", "1")))
    op("dump", lambda: [read(os.path.join(h, file)) for file in ("dump", "dump.json", "raw", "info", "stats")])
    op("list", lambda: [os.listdir(path) for path in (h, os.path.join(h, "entries"), maps, progs, m.p("ids", "map"))])
    op("pin", lambda: os.link(os.path.join(h, "map"), m.p("pins", "new")), lambda: remove(m.p("pins", "new")))

    def over():
        os.link(os.path.join(h, "map"), m.p("pins", "new"))
        os.link(os.path.join(maps, "l", "map"), m.p("pins", "over"))
        os.rename(m.p("pins", "new"), m.p("pins", "over"))
    op("pin over a pin", over, lambda: (remove(m.p("pins", "new")), remove(m.p("pins", "over"))))
    op("mkdir", lambda: os.mkdir(m.p("pins", "d")), lambda: remove(m.p("pins", "d")))
    op("symlink", lambda: os.symlink("x", m.p("pins", "l")), lambda: remove(m.p("pins", "l")))

    def back():
        if os.path.exists(os.path.join(maps, "h2")):
            os.rename(os.path.join(maps, "h2"), h)
    op("rename map", lambda: os.rename(h, os.path.join(maps, "h2")), back)
    op("cgroup", lambda: os.mkdir(m.p("cgroup", "g", "new")), lambda: remove(m.p("cgroup", "g", "new")))
    egress = m.p("cgroup", "g", "egress.attach")

    def detach():
        if read(egress):
            write(egress, "\n")
    op("attach", lambda: write(egress, "filter_out\n"), detach)
    op("attach again", lambda: write(m.p("cgroup", "g", "ingress.attach"), "filter_in\n"))
    op("detach", lambda: write(m.p("cgroup", "g", "ingress.attach"), "\n"),
       lambda: write(m.p("cgroup", "g", "ingress.attach"), "filter_in\n"))
    source = m.p("events", "new")

    def start():
        os.mkdir(source)
        for file, value in ("type", "timer"), ("interval_ms", "10000"), ("attach", "count_ports\n"):
            write(os.path.join(source, file), value)
    op("event source", start, lambda: remove(source))
    op("run", lambda: write(os.path.join(progs, "count_ports", "run"), bytes(64)))
    op("program files", lambda: [read(os.path.join(progs, "count_ports", f)) for f in ("info", "xlated", "jited", "log")])

    lib = ctypes.CDLL(os.path.join(BUILD, "libubpffs-client.so"), use_errno=True)

    def by_ioctl(call):
        try:
            fd = lib.ubpfc_mount(m.path.encode())
            if fd >= 0:
                fd = call()
            if fd < 0:
                raise OSError(ctypes.get_errno(), "ioctl")
            os.close(fd)
        finally:
            lib.ubpfc_mount(None)
    op("ioctl create", lambda: by_ioctl(lambda: lib.ubpfc_create_map(1, 4, 8, 10, 0)))
    return ops


def prepare(m):
    """A state of which each part would be missed."""
    for name in "count_ports", "tail_calls", "cgroup_filter":
        load(m, name)
    make_map(m, "h", "hash", **MAPS["hash"])
    write(m.p("maps", "h", "entries", "1"), "5\n", os.O_WRONLY | os.O_CREAT)
    make_map(m, "l", "lpm_trie", **MAPS["lpm_trie"])
    for kind in "array_of_maps", "hash_of_maps":
        make_map(m, kind, kind, **MAPS[kind])
        write(m.p("maps", kind, "entries", "3"), "h\n", os.O_WRONLY | os.O_CREAT)
    os.mkdir(m.p("pins"))
    os.link(m.p("maps", "h", "map"), m.p("pins", "a"))
    os.mkdir(m.p("cgroup", "g"))
    write(m.p("cgroup", "g", "ingress.attach"), "filter_in\n")
    os.mkdir(m.p("events", "t"))
    for file, value in ("type", "timer"), ("interval_ms", "10000"), ("attach", "count_ports\n"):
        write(m.p("events", "t", file), value)
    os.mkdir(m.p("maps", "half"))
    write(m.p("maps", "half", "type"), "hash")


def snapshot(m):
    out = {}
    for directory in "progs", "maps", "pins", "cgroup", "events":
        out[directory] = sorted(os.listdir(m.p(directory)))
    for name in out["maps"]:
        for file in "info", "dump":
            if os.path.exists(m.p("maps", name, file)):
                out[name, file] = read(m.p("maps", name, file))
    for name in out["progs"]:
        if name not in ("new", "log"):
            out[name] = [line for line in read(m.p("progs", name, "info")).splitlines() if not line.startswith((b"load", b"jit_us"))]
    for path in "cgroup/g/ingress.attach", "cgroup/g/ingress.effective", "events/t/attach", "maps/half/type":
        out[path] = read(m.p(path))
    out["cgroup id"] = read(m.p("cgroup/g/stats")).splitlines()[0]
    out["ids"] = sorted(os.listdir(m.p("ids", "map"))), sorted(os.listdir(m.p("ids", "prog")))
    return out


def difference(want, got):
    return {key: (want.get(key), got.get(key)) for key in set(want) | set(got) if want.get(key) != got.get(key)}


def fast_parent():
    """Where states are copied thousands of times."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"


# ---- the loops

class Loop:
    def __init__(self, m, page, sample, until=None):
        m.options.append("keeper=off")  # one process makes the calls that are counted, and ends by what fails
        self.m, self.sample, self.until = m, sample, until
        self.page = Injector(page)
        self.problems, self.tries = [], 0
        self.first = self.base = None
        self.restarted = False

    def late(self):
        return self.until is not None and time.monotonic() > self.until

    def problem(self, *words):
        text = " ".join(str(word) for word in words)
        self.problems.append(text)
        print(text, flush=True)

    def start(self, injected=True):
        env = os.environ.copy()
        try:
            if injected:
                os.environ.update(self.page.environment())
            return self.m.start(check=not injected)
        finally:
            os.environ.clear()
            os.environ.update(env)

    def answers(self):
        """A failure that goes on is an answer, too; without a server it is another (ENOTCONN, ENOENT)."""
        try:
            os.stat(self.m.p("version"))
        except OSError as e:
            return e.errno in HONEST
        return True

    def serving(self):
        """After an injected start: does it serve, or has it ended?"""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            code = self.m.proc.poll()
            if code is not None:
                return code
            if self.m.mounted() and self.answers():
                return None
            time.sleep(0.002)
        raise AssertionError("a start hangs:\n" + conftest.stacks(self.m.proc.pid))

    def usage(self):
        """Objects, files of the store, and loads that had not finished."""
        return (sorted(os.listdir(self.m.p("ids", "map"))), sorted(os.listdir(self.m.p("ids", "prog"))),
                sorted(os.listdir(os.path.join(self.m.state, "objects"))),
                os.listdir(os.path.join(self.m.state, "pending")))

    def settled(self, want, unsure=False):
        """What is there once it is what is wanted, or stays something else; with unsure files soon."""
        begin = time.monotonic()
        while True:
            there, took = self.usage(), time.monotonic() - begin
            if there == want or took > WAIT or (unsure and there[:2] == want[:2] and took > 2 * SLOW):
                return there
            time.sleep(0.01)

    def descriptors(self):
        """But those of names: they are there as long as the kernel remembers the name."""
        count = 0
        for fd in os.listdir("/proc/%d/fd" % self.m.proc.pid):
            try:
                target = os.readlink("/proc/%d/fd/%s" % (self.m.proc.pid, fd))
            except FileNotFoundError:
                continue
            count += not target.startswith((self.m.state + "/tree", self.m.state + "/objects"))
        return count

    def restart(self, undo):
        """What went wrong was said: go on with a new server, that has what the operations need and no more."""
        if self.m.proc.poll() is None:
            self.page.disarm()
            self.m.kill()
        self.start()
        assert self.serving() is None, self.m.errors()[-3000:]
        undo()
        left = self.settled(self.first)  # a start removes what was unsure
        if left != self.first:
            self.problem("a restart leaves", [sorted(set(b) ^ set(a)) for a, b in zip(self.first, left)])
        self.base = left
        self.restarted = True

    def one(self, name, kind, n, sticky, do, undo):
        """True: the failure came, there may be a next one."""
        what = "%s: %s %d%s:" % (name, kind, n, " and on" if sticky else "")
        self.tries += 1
        self.page.arm(kind, n, sticky)
        code = 0
        try:
            do()
        except OSError as e:
            code = e.errno
        fired = self.page.disarm()
        if self.m.proc.poll() is not None:
            self.problem(what, "the server ended with", self.m.proc.returncode, self.m.errors()[-3000:])
            self.restart(undo)
            return True
        if code and not fired:
            self.problem(what, "fails by itself:", errno.errorcode[code])
            return False
        if code and code not in HONEST:
            self.problem(what, "is told as", errno.errorcode[code])
        try:
            undo()
            do()
            undo()
        except OSError as e:
            self.problem(what, "afterwards", errno.errorcode.get(e.errno), e, "(first: %s)" % errno.errorcode.get(code))
            self.restart(undo)
            return fired > 0
        left = self.settled(self.base, kind in UNSURE)
        if kind in UNSURE:
            self.base = self.base[:2] + left[2:]
        if left != self.base:
            self.problem(what, "leaves", [sorted(set(b) ^ set(a)) for a, b in zip(self.base, left)],
                         "(%s)" % errno.errorcode.get(code, "succeeded"))
            self.base = left
        return fired > 0

    def operation(self, name, kind, sticky, do, undo):
        for _ in range(2):
            do()
            undo()
        before, tried = self.descriptors(), 0
        for n in numbers(self.sample):
            if self.late() or not self.one(name, kind, n, sticky, do, undo):
                break
            tried += 1
            if self.restarted:
                self.restarted = False
                before, tried = self.descriptors(), 0
        grown = self.descriptors() - before
        if grown > 4 and grown >= tried // 2:
            self.problem("%s: %s: %d descriptors more after %d tries" % (name, kind, grown, tried))

    def operations(self, classes, wanted=None, sticky=False):
        self.start()
        assert self.serving() is None, self.m.errors()
        prepare(self.m)
        want = snapshot(self.m)
        time.sleep(0.2)
        base = self.first = self.base = self.usage()
        for name, (do, undo) in operations(self.m).items():
            if wanted and name not in wanted:
                continue
            for kind in classes:
                if self.late():
                    break
                self.operation(name, kind, sticky, do, undo)
        for when in "after all operations:", "after a new start:":
            lost = difference(want, snapshot(self.m))
            if lost:
                self.problem(when, lost)
            self.m.kill()
            self.start(injected=False)
        if self.settled(base) != base:
            self.problem("after a new start there is left:",
                         [sorted(set(b) ^ set(a)) for a, b in zip(base, self.usage())])
        self.m.kill()

    def starts(self, classes, sticky=False):
        """A failure in a start, and then a healthy start: everything is there."""
        self.start(injected=False)
        prepare(self.m)
        self.m.kill()
        self.start(injected=False)
        want = snapshot(self.m)
        self.m.kill()
        saved = self.m.state + ".saved"
        shutil.rmtree(saved, ignore_errors=True)
        subprocess.run(["cp", "-a", self.m.state, saved], check=True)
        for kind in classes:
            refused = tried = 0
            for n in numbers(self.sample):
                if self.late():
                    break
                tried += 1
                self.tries += 1
                shutil.rmtree(self.m.state)
                subprocess.run(["cp", "-a", saved, self.m.state], check=True)
                said = len(self.m.errors())
                self.page.arm(kind, n, sticky)
                self.start()
                code = self.serving()
                fired = self.page.disarm()
                what = "start: %s %d%s:" % (kind, n, " and on" if sticky else "")
                if code is not None:
                    refused += 1
                    if code != 1:
                        self.problem(what, "ended with", code, self.m.errors()[said:][-2000:])
                    elif not self.m.errors()[said:].strip():
                        self.problem(what, "refused without a word")
                else:
                    self.m.kill()
                self.start(injected=False)
                lost = difference(want, snapshot(self.m))
                if lost:
                    self.problem(what, "refused" if code is not None else "started", "and lost", lost)
                self.m.kill()
                if not fired:
                    break
            print("start: %s%s: %d tries, %d refused" % (kind, " and on" if sticky else "", tried, refused), flush=True)


def main():
    import argparse
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("-s", "--seconds", type=float)
    parser.add_argument("-c", "--classes", default=",".join(TRIED))
    parser.add_argument("-o", "--operations", default="")
    parser.add_argument("-n", "--no-starts", action="store_true")
    parser.add_argument("-N", "--no-operations", action="store_true")
    args = parser.parse_args()
    until = time.monotonic() + args.seconds if args.seconds else None
    classes, wanted = args.classes.split(","), args.operations.split(",") if args.operations else None
    problems, tries = 0, 0
    for sticky in False, True:
        for starts in False, True:
            if args.no_starts if starts else args.no_operations:
                continue
            base = tempfile.mkdtemp(prefix="ubpffs-failnth-")
            state = tempfile.mkdtemp(prefix="ubpffs-failnth-", dir=fast_parent())
            m = Mount(base, state)
            loop = Loop(m, os.path.join(base, "page"), False, until)
            try:
                loop.starts(classes, sticky) if starts else loop.operations(classes, wanted, sticky)
            finally:
                m.take_away()
                shutil.rmtree(base, ignore_errors=True)
                shutil.rmtree(state, ignore_errors=True)
            problems += len(loop.problems)
            tries += loop.tries
    print("failnth: %d tries, %d problems" % (tries, problems))
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
