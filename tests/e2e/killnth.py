"""
The N-th kill loop: at the 1st, 2nd, 3rd ... system call that a change makes, SIGKILL ends the server, its keeper, or both
(tests/preload/failnth.c), until the change makes no such call. Its server alone: the caller notices nothing, and all is as
after a change that nobody disturbed. Also the keeper: after the next start all is as before the change or as after it,
and it can be made and taken back. So for every kind of change, and for what takes it back.

    UBPFFS_BUILD=build /usr/bin/python3 tests/e2e/killnth.py [-s SECONDS] [-w WHOM,...] [-o CHANGE,...]

does it in full (part of `make fuzz`); test_killnth.py takes a sample.
"""
import contextlib
import itertools
import os
import random
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import commands  # noqa: E402
import conftest  # noqa: E402
import failnth  # noqa: E402
from conftest import BUILD, WAIT, Mount  # noqa: E402
from failnth import MAPS, make_map, read, remove, write  # noqa: E402

WHOM = ["nobody", "server", "both", "keeper", "keeper-itself"]
FILES = "attach", "constants", "keys", "dump", "map", "prog", "ingress.attach", "egress.attach", "egress.effective"
CTL = os.path.join(BUILD, "ubpfctl")


class Killer(failnth.Injector):
    """The same page (struct fail_control), and `kill`."""

    kind = "none"  # at calls of any class

    def kill(self, whom, n):
        self.disarm()
        self.page[0:4] = failnth.CLASSES.index(self.kind).to_bytes(4, "little")
        self.page[32:36] = WHOM.index(whom).to_bytes(4, "little")
        self.page[8:16] = n.to_bytes(8, "little")

    def count_kills(self, do, whom):
        """At how many calls that do() makes somebody could be killed."""
        self.kill(whom, 1 << 40)
        do()
        seen = int.from_bytes(self.page[16:24], "little")
        self.disarm()
        return max(seen, 1)

    def disarm(self):
        fired = super().disarm()
        self.page[32:36] = bytes(4)
        return fired


def changes(m):
    """
    Those of failnth.operations() that change something, and more: do() and undo(), and whether do() is one change that is
    there or not.
    """
    looks = "lookup", "dump", "list", "run", "program files"
    steps = "pin over a pin", "event source"
    out = {name: (do, undo, name not in steps and not name.startswith("map "))
           for name, (do, undo) in failnth.operations(m).items() if name not in looks}
    maps, progs, pins, h = m.p("maps"), m.p("progs"), m.p("pins"), m.p("maps", "h")

    def change(name, do, undo, whole=True):
        out[name] = do, undo, whole

    def moved(a, b):
        def back():
            if os.path.lexists(b) and not os.path.lexists(a):
                os.rename(b, a)
        return lambda: os.rename(a, b), back

    change("exclusive create", lambda: write(os.path.join(h, "entries/78"), "5\n", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
           lambda: remove(os.path.join(h, "entries/78")))
    change("dump", lambda: write(os.path.join(h, "dump"), "80 1\n81 2\n82 3\n"),
           lambda: [remove(os.path.join(h, "entries", n)) for n in ("80", "81", "82")], False)
    change("keys", lambda: write(os.path.join(h, "keys"), "ip\n"), lambda: write(os.path.join(h, "keys"), "number\n"))
    change("push", lambda: write(os.path.join(maps, "q", "push"), "7\n"),
           lambda: [read(os.path.join(maps, "q", ".pop")) for n in read(os.path.join(maps, "q", "stats")).splitlines()[:1]
                    for _ in range(int(n.split()[1]))])
    change("slot", lambda: write(os.path.join(maps, "steps/entries/6"), "count_ports\n", os.O_WRONLY | os.O_CREAT),
           lambda: remove(os.path.join(maps, "steps/entries/6")))
    for path in h + "/map", progs + "/count_ports/prog", m.p("cgroup/g"), pins, pins + "/a":
        mode = os.stat(path).st_mode & 0o7777
        change("chmod " + os.path.basename(path), lambda path=path: os.chmod(path, 0o600),
               lambda path=path, mode=mode: os.chmod(path, mode))
    if not os.geteuid():
        change("chown", lambda: os.chown(h + "/map", 1, 1), lambda: os.chown(h + "/map", 0, 0))
        change("limits of a user", lambda: os.mkdir(m.p("limits/1000")),
               lambda: os.path.isdir(m.p("limits/1000")) and os.rmdir(m.p("limits/1000")))
        change("limit", lambda: write(m.p("limits/default/objects"), "100\n"),
               lambda: write(m.p("limits/default/objects"), "default\n"))
    change("mv of a program", *moved(progs + "/count_ports", progs + "/counted"))
    change("mv of a pin", *moved(pins + "/a", pins + "/b"))
    change("mv of a directory", *moved(pins, m.p("pins2")))
    change("mv into another directory", *moved(pins + "/a", m.p("elsewhere")))

    def define():
        os.mkdir(progs + "/v")
        write(progs + "/v/constants", "a 1\n")
        make_map(m, "../progs/v/maps/own", "hash", **MAPS["hash"])

    def undefine():
        if os.path.isdir(progs + "/v"):
            remove(progs + "/v/maps/own")
            os.rmdir(progs + "/v")
    change("load directory", define, undefine, False)

    def load_into():
        os.path.isdir(progs + "/w") or os.mkdir(progs + "/w")
        write(progs + "/w/new", conftest.obj("global_data"))

    def unload():
        if os.path.isdir(progs + "/w"):
            subprocess.run(["rm", "-r", progs + "/w"], check=True)
    change("load into a directory", load_into, unload, False)

    def link():
        fd = os.open(m.p("cgroup/g/egress.attach"), os.O_RDWR)
        ids = [int(line.split()[1]) for line in read(progs + "/filter_out/info").decode().splitlines()
               if line.startswith("id:")]
        number = int.from_bytes(commands.call(fd, 43, ids[0].to_bytes(4, "little") + bytes(4), 4), "little")
        linked = commands.open_id(m, "link", number)
        try:
            commands.call(linked, 25, b"pins/link\0")
        finally:
            os.close(fd)
            os.close(linked)
    change("link", link, lambda: remove(pins + "/link"), False)

    def by_ioctl(*calls):
        def do():
            fd = os.open(h + "/map", os.O_RDWR)
            try:
                for nr, payload, room in calls:
                    commands.call(fd, nr, payload, room)
            finally:
                os.close(fd)
        return do
    key, value = commands.key, commands.value
    entry = os.path.join(h, "entries/90")
    change("update by ioctl", by_ioctl((2, key(90) + value(9), 0)),
           lambda: os.path.exists(entry) and by_ioctl((3, key(90), 0))())

    def frozen():
        make_map(m, "frozen", "hash", **MAPS["hash"])
        fd = os.open(maps + "/frozen/map", os.O_RDWR)
        try:
            commands.call(fd, 6)
        finally:
            os.close(fd)
    change("freeze", frozen, lambda: remove(maps + "/frozen"), False)

    def upgrade():
        r = subprocess.run([CTL, "upgrade", m.path], capture_output=True, text=True, timeout=4 * WAIT)
        said = "the server of before goes on", "it ended before it could say"  # the probe is a fork of the keeper
        if r.returncode and not any(text in r.stderr for text in said):
            raise OSError(0, r.stderr)
    change("upgrade", upgrade, lambda: None)

    def replace():
        os.kill(m.server(), signal.SIGKILL)
        read(m.p("version"))
    change("replacement", replace, lambda: None)
    return out


def shape(m):
    """All that has a name, with modes and owners, contents and attachments; how many objects there are."""
    out = {}

    def look(path):
        with contextlib.suppress(FileNotFoundError):
            st = os.lstat(path)
            out[path] = st.st_mode, st.st_uid, st.st_gid
            name = os.path.basename(path)
            if name in ("attach", "constants", "keys") or "gress." in name:
                out[path, 0] = [word for word in read(path).split() if not word.isdigit()]
            elif name == "dump":  # values may be ids
                out[path, 0] = [line.split()[:2 if "/maps/h/" in path else 1] for line in read(path).splitlines()]

    for top in "progs", "maps", "pins", "pins2", "elsewhere", "cgroup", "events", "limits":
        look(m.p(top))
        for path, dirs, files in os.walk(m.p(top)):
            dirs[:] = [name for name in dirs if name not in ("entries", "vars", "all", "default")]
            out[path, 1] = sorted(files) if "/progs/" not in path else None
            for name in dirs + [f for f in files if f in FILES or "/pins" in path]:
                look(os.path.join(path, name))
    for kind in "map", "prog", "link":
        out[kind] = len(os.listdir(m.p("ids", kind)))
    out["objects"] = len(m.objects())
    out["pending"] = os.listdir(os.path.join(m.state, "pending"))
    return out


class Loop:
    def __init__(self, m, page, sample, until=None):
        self.m, self.sample, self.until = m, sample, until
        self.page = Killer(page)
        self.m.environment = self.page.environment()
        self.problems, self.kills = [], 0

    def late(self):
        return self.until is not None and time.monotonic() > self.until

    def points(self, total):
        """Which calls, of about so many: all, until there is none; of a sample some, spread over all."""
        if not self.sample:
            return itertools.count(1)
        step = total / min(self.sample, total)
        return [1 + int(i * step + random.random() * step) for i in range(min(self.sample, total))]

    def problem(self, *words):
        self.problems.append(" ".join(map(str, words)))
        print(self.problems[-1], flush=True)

    def becomes(self, *wanted):
        """What objects and files there are follows a moment later. The difference to the first that was wanted, or None."""
        end = time.monotonic() + 5 * conftest.SLOW
        while True:
            got = shape(self.m)
            if got in wanted:
                return None
            if time.monotonic() > end:
                return failnth.difference(wanted[0], got)
            time.sleep(0.01)

    def settled(self):
        """What a close let go goes a moment later."""
        before, there = None, shape(self.m)
        while there != before:
            time.sleep(0.02)
            before, there = there, shape(self.m)
        return there

    def ended(self, server):
        """The keeper is gone, and so is, in order, the server: the mount is dead, or away."""
        self.m.proc.wait(WAIT)
        assert select.select([server], [], [], WAIT)[0], "the server does not end"
        self.m.take_away()

    def attempt(self, act, whom, n):
        """Was somebody killed? And what act() failed with."""
        failed = None
        self.page.kill(whom, n)
        try:
            act()
        except (OSError, subprocess.CalledProcessError) as e:
            failed = e
        return self.page.disarm() > 0, failed

    def step(self, what, act, whom, n, before, after, whole):
        """False: there is no n-th call."""
        server = os.pidfd_open(self.m.server())
        try:
            return self.watched(what, act, whom, n, before, after, whole, server)
        finally:
            os.close(server)

    def watched(self, what, act, whom, n, before, after, whole, server):
        killed, failed = self.attempt(act, whom, n)
        if not killed:
            if failed:
                self.problem(what, "fails by itself:", failed)
            return False
        self.kills += 1
        if whom == "server" or whom == "keeper-itself" and self.m.serving():
            if failed:
                self.problem(what, "failed:", repr(failed), self.m.errors()[-500:])
            wrong = self.becomes(after)
        else:
            self.ended(server)
            self.m.start()
            wrong = self.becomes(after, before) if whole else None
        if wrong:
            self.problem(what, "gave", wrong)
        return True

    def change(self, name, do, undo, whole, whom):
        base = shape(self.m)
        totals = [self.page.count_kills(do, whom)]
        done = self.settled()
        totals.append(self.page.count_kills(undo, whom))
        wrong = self.becomes(base)
        if wrong:
            self.problem(name, "is not taken back:", wrong)
            return
        for back in False, True:
            for n in self.points(totals[back]):
                if self.late():
                    return
                what = "%s%s: %s killed at %d:" % ("back of " if back else "", name, whom, n)
                if back:
                    do()
                    wrong = self.becomes(done)
                    if wrong:
                        self.problem(what, "could not be done again:", wrong)
                        return
                more = self.step(what, undo if back else do, whom, n, *((done, base) if back else (base, done)),
                                 whole and not back)
                undo()
                wrong = self.becomes(base)
                if wrong:
                    self.problem(what, "left:", wrong)
                    return
                if not more:
                    break

    def run(self, whom, wanted=None):
        if whom in ("both", "keeper"):
            self.m.options.append("sandbox=off")  # else a server may not signal its keeper
        self.m.start()
        failnth.prepare(self.m)
        make_map(self.m, "q", "queue", **MAPS["queue"])
        want = failnth.snapshot(self.m)
        names = [name for name in changes(self.m) if not wanted or name in wanted]
        if self.until:
            random.shuffle(names)
        for name in names:
            what = changes(self.m)[name]
            if self.late():
                break
            begun, kills = time.monotonic(), self.kills
            try:
                self.change(name, *what, whom)
            except (OSError, AssertionError) as e:
                self.problem(name, whom, repr(e), self.m.errors()[-500:])
                self.m.take_away()
                self.m.start()
                with contextlib.suppress(OSError):
                    what[1]()
            print("%s: %s: %d kills, %.1f s" % (name, whom, self.kills - kills, time.monotonic() - begun), flush=True)
        lost = failnth.difference(want, failnth.snapshot(self.m))
        if lost:
            self.problem("after all:", lost)
        self.m.kill()


def main():
    import argparse
    import shutil
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("-s", "--seconds", type=float)
    parser.add_argument("-w", "--whom", default=",".join(WHOM[1:]))
    parser.add_argument("-o", "--changes", default="")
    parser.add_argument("-n", "--sample", type=int, default=0, help="so many of the calls of a change; 0: all")
    args = parser.parse_args()
    problems = kills = 0
    for whom in args.whom.split(","):
        until = time.monotonic() + args.seconds / len(args.whom.split(",")) if args.seconds else None
        base, state = tempfile.mkdtemp(prefix="ubpffs-killnth-"), conftest.make_base(failnth.fast_parent())
        loop = Loop(Mount(base, state), os.path.join(base, "page"), args.sample, until)
        try:
            loop.run(whom, args.changes.split(",") if args.changes else None)
        finally:
            loop.m.take_away()
            shutil.rmtree(base, ignore_errors=True)
            shutil.rmtree(state, ignore_errors=True)
        problems += len(loop.problems)
        kills += loop.kills
    print("killnth: %d kills, %d problems" % (kills, problems))
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
