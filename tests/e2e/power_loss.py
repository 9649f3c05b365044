#!/usr/bin/env python3
"""
What a disk may hold after a power loss, from the record of a server's writes (tests/preload/record_writes.c).

    UBPFFS_BUILD=build /usr/bin/python3 tests/e2e/power_loss.py [-seconds S] [-seed N] [-mode none|close|each] [-all N]

A power loss is a place in the record. Before it, what a barrier covers is on the disk: contents and attributes of a file by its
fsync (contents by its msync, too), names of a directory by that directory's fsync (a rename: by both's), all by syncfs. Of
everything else any subset may be there, each change as a whole, in any order: a page as it was or as it became, a name without its
file's contents, a removal before what came earlier. No filesystem is as careless as that.

Each such state is served, and then must be as the answers until then said; of the request that was under way all or nothing.
"""
import argparse
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import conftest  # noqa: E402

PAGE = 4096


class Event:
    """One change: when something of it is on the disk it is whole."""

    def __init__(self, line):
        words = line.rstrip("\n").split(" ")
        self.what = words[0]
        a = self.args = words[1:]
        self.contents = int(a[0]) if self.what in ("page", "size") else None
        self.attr = int(a[0]) if self.what == "attr" else None
        self.dirs = []
        if self.what in ("mkdir", "create", "link", "unlink", "symlink"):
            self.dirs = [int(a[0])]
        elif self.what == "rename":
            self.dirs = [int(a[0]), int(a[2])]


def read_record(path):
    with open(path) as f:
        lines = f.readlines()
    assert lines[0].startswith("root "), lines[:1]
    return int(lines[0].split()[1]), [Event(line) for line in lines[1:]]


def settled(events):
    """Of each event the place of the barrier that covers it; None: none does."""
    out = [None] * len(events)
    contents, attrs, names = {}, {}, []
    for i, e in enumerate(events):
        if e.contents:
            contents.setdefault(e.contents, []).append(i)
        elif e.attr:
            attrs.setdefault(e.attr, []).append(i)
        elif e.dirs:
            names.append((i, set(e.dirs)))
        elif e.what in ("fsync", "msync"):
            ino = int(e.args[0])
            for k in contents.pop(ino, []) + (attrs.pop(ino, []) if e.what == "fsync" else []):
                out[k] = i
            if e.what == "fsync":
                for k, dirs in names:
                    dirs.discard(ino)
                    if not dirs:
                        out[k] = i
                names = [(k, dirs) for k, dirs in names if dirs]
        elif e.what == "syncfs":
            for k in [k for v in (*contents.values(), *attrs.values()) for k in v] + [k for k, _ in names]:
                out[k] = i
            contents, attrs, names = {}, {}, []
    return out


class Disk:
    def __init__(self, root):
        self.root = root
        self.dirs = {root: {}}
        self.links = {}
        self.attrs = {}
        self.sizes, self.pages = {}, {}

    def apply(self, e):
        a = e.args
        if e.what == "page":
            self.pages.setdefault(int(a[0]), {})[int(a[1])] = bytes.fromhex(a[2])
        elif e.what == "size":
            self.sizes[int(a[0])] = int(a[1])
        elif e.what == "attr":
            self.attrs[int(a[0])] = int(a[1], 8), int(a[2]), int(a[3])
        elif e.what == "rename":
            old, new = self.dirs.get(int(a[0])), self.dirs.get(int(a[2]))
            if old is not None and old.get(a[1]) == int(a[4]):
                del old[a[1]]
                if int(a[5]):
                    old[a[1]] = int(a[5])
            if new is not None:
                new[a[3]] = int(a[4])
        elif e.what in ("mkdir", "create", "link", "symlink", "unlink"):
            ino = int(a[2])
            if e.what == "mkdir":
                self.dirs.setdefault(ino, {})
            if e.what == "symlink":
                self.links[ino] = a[3]
            names = self.dirs.get(int(a[0]))
            if names is not None and e.what == "unlink":
                if names.get(a[1]) == ino:
                    del names[a[1]]
            elif names is not None:
                names[a[1]] = ino

    def write(self, path):
        made = {}
        self._write_dir(path, self.root, made)

    def _write_dir(self, path, ino, made):
        if ino in made:  # a rename of which one half is there: no filesystem shows a directory twice
            return
        made[ino] = path
        os.mkdir(path, 0o700)
        for name, child in self.dirs[ino].items():
            at = os.path.join(path, name)
            if child in self.dirs:
                self._write_dir(at, child, made)
            elif child in made:
                os.link(made[child], at, follow_symlinks=False)
            elif child in self.links:
                made[child] = at
                os.symlink(self.links[child], at)
            else:
                made[child] = at
                with open(at, "wb") as f:
                    size = self.sizes.get(child, 0)
                    f.truncate(size)
                    for number, data in self.pages.get(child, {}).items():
                        if number * PAGE < size:
                            f.seek(number * PAGE)
                            f.write(data[:size - number * PAGE])
                self._set_attr(at, child)
        self._set_attr(path, ino)

    def _set_attr(self, path, ino):
        mode, uid, gid = self.attrs.get(ino, (0o700 if ino in self.dirs else 0o600, os.geteuid(), os.getegid()))
        if not os.geteuid():
            os.chown(path, uid, gid)
        os.chmod(path, mode)


def disk_at(root, events, covered, place, keep):
    """keep(i): is event i, of which the disk need not have anything, there?"""
    disk = Disk(root)
    for i, e in enumerate(events[:place]):
        if (covered[i] is not None and covered[i] < place) or keep(i):
            disk.apply(e)
    return disk


# ---- what clients do and see

GONE, ANY = None, object()


class Recorder:
    """A server whose writes are recorded; requests that were answered, and what was true then."""

    def __init__(self, m, mode):
        self.m, self.log = m, os.path.join(m.base, "record")
        self.steps = []  # (place in the record, what was, what it made true)
        os.mkdir(m.state, 0o700)
        if os.path.exists(self.log):
            os.unlink(self.log)
        m.environment = {"LD_PRELOAD": os.path.join(conftest.BUILD, "tests", "record_writes.so"),
                         "ASAN_OPTIONS": "verify_asan_link_order=0:abort_on_error=0:exitcode=99",
                         "UBPFFS_RECORD_STATE": m.state, "UBPFFS_RECORD_LOG": self.log}
        m.start("durable=" + mode)

    def end(self):
        """The record."""
        self.m.umount()
        self.m.environment = {}
        shutil.rmtree(self.m.state)
        return read_record(self.log)

    def place(self):
        with open(self.log) as f:
            return sum(1 for _ in f) - 1

    def barriers(self, since):
        return [e.what for e in read_record(self.log)[1][since:] if e.what in ("fsync", "msync", "syncfs")]

    def do(self, what, *facts, either=(), torn=False):
        """either: what the next start may see so or so; torn: until the answer, all of it."""
        before = {fact: ANY if torn else see(self.m, fact) for fact in facts}
        what()
        self.steps.append((self.place(), {**dict.fromkeys(either, ANY), **before},
                           {**dict.fromkeys(either, ANY), **{fact: see(self.m, fact) for fact in facts}}))

    def facts(self):
        return {fact for _, _, facts in self.steps for fact in facts}

    def at(self, place):
        """What was answered by then; what the request under way finds, and makes."""
        was = {}
        for at, before, after in self.steps:
            if at > place:
                return was, before, after
            was.update(after)
        return was, {}, {}


def see(m, fact):
    """A name is there, its bits, where a link leads, an object that is not broken, a text."""
    kind, _, path = fact.partition(" ")
    at = m.p(path)
    try:
        if kind == "there":
            os.lstat(at)
            return True
        if kind == "bits":
            return os.lstat(at).st_mode & 0o777
        if kind == "link":
            return os.readlink(at)
        with open(os.path.join(at, "info") if kind == "works" else at) as f:
            text = f.read()
        return bool(text) if kind == "works" else text
    except FileNotFoundError:
        return GONE


def check(m, job, place):
    was, before, after = job.at(place)
    seen = {k: see(m, k) for k in {**was, **after}}

    def wrong(facts):
        return {k: (seen[k], v) for k, v in facts.items() if v is not ANY and seen[k] != v}

    lost = wrong({k: v for k, v in was.items() if k not in after})
    assert not lost, "seen, and answered: %s" % lost
    assert not wrong(before) or not wrong(after), "half of a request: seen, and before it: %s, and after it: %s" % (
        wrong(before), wrong(after))


def put(m, path, text):
    fd = os.open(m.p(path), os.O_WRONLY | os.O_CREAT)
    try:
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            data = data[os.write(fd, data):]
    finally:
        os.close(fd)


def work(job):
    """Some of everything that changes a state."""
    m, do = job.m, job.do

    def a_map(name, **attrs):
        do(lambda: os.mkdir(m.p("maps", name)), "there maps/" + name)
        for attr, value in attrs.items():
            facts = ["text maps/%s/%s" % (name, attr)]
            if attr == list(attrs)[-1]:
                facts += ["there maps/%s/map" % name, "works maps/" + name]
            do(lambda: put(m, "maps/%s/%s" % (name, attr), value), *facts)

    a_map("a", type="hash", key_size="4", value_size="8", max_entries="10")
    for key, value in (1, 5), (2, 6), (3, 7), (1, 8), (1, 9):
        do(lambda: put(m, "maps/a/entries/%d" % key, "%d" % value), "text maps/a/entries/%d" % key)
    do(lambda: os.unlink(m.p("maps/a/entries/2")), "text maps/a/entries/2")
    a_map("r", type="array", key_size="4", value_size="8", max_entries="600")
    do(lambda: put(m, "maps/r/entries/0", "1"), "text maps/r/entries/0")
    do(lambda: put(m, "maps/r/entries/599", "2"), "text maps/r/entries/599")
    # Values that lie in more than one page, and elements that take turns.
    a_map("large", type="hash", key_size="4", value_size="3000", max_entries="4")
    for key, value in (1, 5), (2, 6), (1, 7), (1, 8), (2, 9):
        do(lambda: put(m, "maps/large/entries/%d" % key, " ".join(["%02x" % value] * 3000) + "\n"),
           "text maps/large/entries/%d" % key, torn=True)
    a_map("q", type="queue", value_size="4", max_entries="10")
    do(lambda: put(m, "maps/q/push", "11"), "text maps/q/dump")
    do(lambda: put(m, "maps/q/push", "12"), "text maps/q/dump")
    do(lambda: os.close(os.open(m.p("maps/q/.pop"), os.O_RDONLY | os.O_NONBLOCK)), "text maps/q/dump")
    do(lambda: os.mkdir(m.p("pins"), 0o755), "there pins", "bits pins")
    do(lambda: os.link(m.p("maps/a/map"), m.p("pins/a")), "there pins/a")
    do(lambda: os.chmod(m.p("pins"), 0o700), "bits pins")
    do(lambda: os.chmod(m.p("maps/a/map"), 0o640), "bits maps/a/map", "bits pins/a")
    do(lambda: os.rename(m.p("pins/a"), m.p("pins/b")), "there pins/a", "there pins/b", either=["bits pins/a"])
    do(lambda: os.symlink("pins/b", m.p("to")), "link to")
    do(lambda: put(m, "progs/new", conftest.obj("count_ports")),
       "works progs/count_ports", "works maps/by_port", "works maps/by_proto")
    do(lambda: put(m, "progs/new", conftest.obj("cgroup_filter")), "works progs/filter_in", "there progs/filter_in/prog")
    do(lambda: os.mkdir(m.p("cgroup/g")), "there cgroup/g")
    do(lambda: put(m, "cgroup/g/ingress.attach", "filter_in\n"), "text cgroup/g/ingress.attach")
    do(lambda: put(m, "cgroup/g/ingress.attach", "\n"), "text cgroup/g/ingress.attach")
    do(lambda: put(m, "cgroup/g/ingress.attach", "filter_in\n"), "text cgroup/g/ingress.attach")
    do(lambda: os.link(m.p("progs/count_ports/prog"), m.p("pins/p")), "there pins/p")
    do(lambda: os.unlink(m.p("pins/p")), "there pins/p")
    gone = [fact for fact in job.facts() if fact.split()[1].startswith("maps/a")]
    do(lambda: os.unlink(m.p("maps/a/map")), "there maps/a/map", either=gone)
    do(lambda: os.rmdir(m.p("maps/a")), *gone)
    do(lambda: os.unlink(m.p("pins/b")), "there pins/b")
    do(lambda: os.unlink(m.p("progs/count_ports/prog")), "works progs/count_ports", "works maps/by_port",
       "works maps/by_proto")
    do(lambda: os.rmdir(m.p("progs/count_ports")), "there progs/count_ports")
    do(lambda: os.mkdir(m.p("progs/v2")), "there progs/v2", "there progs/v2/new")
    do(lambda: put(m, "progs/v2/constants", "limit 7\n"), "text progs/v2/constants")
    do(lambda: os.mkdir(m.p("events/t")), "there events/t")
    do(lambda: put(m, "events/t/type", "timer"), "text events/t/type")
    do(lambda: put(m, "events/t/interval_ms", "10000"), "text events/t/interval_ms")


class Losses:
    """Power losses of one record, one after the other."""

    def __init__(self, m, mode):
        self.m, self.mode = m, mode
        self.job = Recorder(m, mode)
        work(self.job)
        self.root, self.events = self.job.end()
        self.covered = settled(self.events)
        self.runs = 0

    def one(self, place, keep):
        m = self.m
        disk_at(self.root, self.events, self.covered, place, keep).write(m.state)
        said = len(m.errors())
        try:
            m.start("durable=" + self.mode)
            if self.mode != "none":
                check(m, self.job, place)
            m.umount()
        finally:
            m.take_away()
            shutil.rmtree(m.state, ignore_errors=True)
        assert "anitizer" not in m.errors()[said:]
        self.runs += 1

    def loose(self, place):
        """What the disk need not have."""
        return [i for i in range(place) if (self.events[i].dirs or self.events[i].contents or self.events[i].attr) and
                not (self.covered[i] is not None and self.covered[i] < place)]

    def state(self, place, kept):
        try:
            self.one(place, kept.__contains__)
        except AssertionError as e:
            said = "\n".join("%s%d %s %s" % ("" if i in kept else "not ", i, self.events[i].what, " ".join(
                a[:60] for a in self.events[i].args)) for i in self.loose(place))
            raise AssertionError("power loss at %d of %d, mode %s: %s\nof what was not settled there is\n%s" % (
                place, len(self.events), self.mode, e, said)) from None

    def random(self, seed):
        rng = random.Random(seed)
        place = rng.randrange(self.job.steps[0][0], len(self.events) + 1)
        part = rng.choice([0, 0.1, 0.5, 0.9, 1])
        self.state(place, {i for i in self.loose(place) if rng.random() < part})

    def everything(self, most):
        """Each part of what a request has not settled, at each place where that is at most so many changes."""
        since = self.job.steps[0][0]
        for at, _, _ in self.job.steps[1:]:
            for place in range(since, at + 1):
                loose = [i for i in self.loose(place) if i >= since]
                if len(loose) <= most:
                    for part in range(1 << len(loose)):
                        yield place, {i for n, i in enumerate(loose) if part >> n & 1}
            since = at


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-seconds", type=float, default=10)
    parser.add_argument("-seed", type=int, default=int(time.time()))
    parser.add_argument("-all", type=int, metavar="N", help="each part of up to N changes, and not some of all")
    parser.add_argument("-mode", choices=["none", "close", "each"], default="each")
    args = parser.parse_args()
    base = conftest.make_base("/tmp")
    state = conftest.make_base("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
    problems = 0
    print("power_loss: %g s from seed %d" % (args.seconds, args.seed), flush=True)
    try:
        losses = Losses(conftest.Mount(base, state), args.mode)
        until, seed = time.monotonic() + args.seconds, args.seed
        states = losses.everything(args.all) if args.all else None
        while problems < 3 and time.monotonic() < until:
            try:
                if states:
                    losses.state(*next(states))
                else:
                    losses.random(seed)
            except StopIteration:
                break
            except AssertionError as e:
                problems += 1
                print("power_loss: seed %d: %s" % (seed, e), flush=True)
            seed += 1
    finally:
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
    print("power_loss: %d states of %d events" % (losses.runs, len(losses.events)))
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
