#!/usr/bin/env python3
"""
Damaged state directories against a start, and against all that is read and written then.

    UBPFFS_BUILD=build /usr/bin/python3 tests/fuzz/fuzz_start.py [-seconds S] [-seed N] [-once]

A state with a part of everything (failnth.prepare()) is copied, some of its files are damaged, and a server starts on it. Images,
arenas, BTF, values and the text files get other bits and words, pages that are zeroed, repeated or cut off; or something else
stands in a file's place: a FIFO, a socket, a directory, a symlink, nothing. The server must serve or refuse with a sentence within
seconds, whatever is read and written then, and end in order. A start after damaged contents removes no name and no object of one.
"""
import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import conftest  # noqa: E402
import failnth  # noqa: E402

PAGE = 4096
WORDS = [0, 1, 2, 63, 64, 65, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]
TEXT = [b"", b"\n", b"-1\n", b"18446744073709551616\n", b"x" * 5000, b"\xff\xfe\n", b"0x\n", b"hash\nhash\n", b"../../..\n", b"%n%s\n"]
SPECIAL = "fifo", "socket", "directory", "link", "dangling link", "nothing"


def files_of(state):
    """Paths below the state, one for each inode."""
    seen, out = set(), []
    for path, _, names in os.walk(state):
        for name in sorted(names):
            file = os.path.join(path, name)
            st = os.lstat(file)
            if st.st_ino not in seen and os.path.isfile(file) and not os.path.islink(file) and name != "lock":
                seen.add(st.st_ino)
                out.append(os.path.relpath(file, state))
    return sorted(out)


def names_of(state):
    """What a start after damaged contents may not remove."""
    out = set()
    for path, directories, names in os.walk(os.path.join(state, "tree")):
        out |= {os.path.relpath(os.path.join(path, name), state) for name in directories + names if name[0] != "."}
    objects = os.path.join(state, "objects")
    return out | {os.path.join("objects", n) for n in os.listdir(objects) if os.lstat(os.path.join(objects, n)).st_nlink > 1}


def damage_contents(rng, path):
    size = os.path.getsize(path)
    with open(path, "r+b", buffering=0) as f:
        if size < 512 and rng.random() < 0.5:
            f.truncate(0)
            f.write(rng.choice(TEXT))
            return "text"
        kind = rng.choice(["bit", "word", "word", "zeroed page", "repeated page", "cut", "longer"])
        # Where the structures are, more often than anywhere.
        at = rng.randrange(max(1, min(size, rng.choice([64, 512, PAGE, 3 * PAGE, size or 1]))))
        if kind == "cut":
            f.truncate(rng.choice([0, at, at & -PAGE]))
        elif kind == "longer":
            f.truncate(size + rng.choice([1, PAGE, 1 << 32]))
        elif kind == "bit":
            f.seek(at)
            byte = f.read(1) or b"\0"
            f.seek(at)
            f.write(bytes([byte[0] ^ 1 << rng.randrange(8)]))
        elif kind == "word":
            f.seek(at & -4)
            f.write(rng.choice(WORDS + [rng.getrandbits(32)]).to_bytes(4, "little"))
        else:
            page = bytes(PAGE)
            if kind == "repeated page":
                f.seek(rng.randrange(max(1, min(size, 16 * PAGE))) & -PAGE)
                page = f.read(PAGE)
            f.seek(at & -PAGE)
            f.write(page[:max(0, size - (at & -PAGE))])
    return kind


def replace(rng, path):
    kind = rng.choice(SPECIAL)
    os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind("/proc/self/fd/%d/%s" % (parent(path), os.path.basename(path)))
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "link":
        os.symlink("/etc/passwd", path)
    elif kind == "dangling link":
        os.symlink("nowhere", path)
    return kind


def parent(path):
    """A short way to a directory, for a socket's name; the next one takes its number."""
    fd = os.open(os.path.dirname(path), os.O_PATH)
    os.dup2(fd, 200)
    os.close(fd)
    return 200


def attempt(do, *args):
    try:
        return do(*args)
    except OSError:
        return None


def use(m):
    """Everything is read, and some of it written; errors are answers."""
    for path, directories, names in os.walk(m.path):
        directories[:] = [name for name in directories if name not in ("limits",)]
        for name in names:
            if name not in ("trace_pipe", "new", "run", "ingress.run", "egress.run", "ctl"):
                attempt(read_some, os.path.join(path, name))
    for name in attempt(os.listdir, m.p("maps")) or []:
        for key in "1", "2", "77", "x":
            entry = m.p("maps", name, "entries", key)
            attempt(failnth.write, entry, "5\n", os.O_WRONLY | os.O_CREAT)
            attempt(os.unlink, entry)
    for name in attempt(os.listdir, m.p("progs")) or []:
        attempt(failnth.write, m.p("progs", name, "run"), bytes(64))
    attempt(failnth.load, m, "functions")
    attempt(os.mkdir, m.p("cgroup", "g", "new"))
    attempt(failnth.make_map, m, "another", "hash")


def read_some(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for _ in range(64):
            if not os.read(fd, 1 << 16):
                break
    finally:
        os.close(fd)


def other_ids(state, done):
    """Other bits may be other ids: then the map that a load named is let go, as when its programs had gone."""
    for file, _ in done:
        if file.endswith("/.load"):
            with open(os.path.join(state, file), "rb") as f:
                text = f.read()
            if text[-1:] == b"\n" and text.replace(b"\n", b"0").isdigit():
                return True
    return False


class Fuzz:
    def __init__(self, loop):
        self.loop, self.m = loop, loop.m
        self.saved = self.m.state + ".saved"
        self.served = 0

    def make(self):
        self.m.start()
        failnth.prepare(self.m)
        failnth.load(self.m, "global_data")
        failnth.load(self.m, "map_in_map")
        if not os.geteuid():
            os.mkdir(self.m.p("limits", "1234"))
            failnth.write(self.m.p("limits", "1234", "objects"), "7\n")
        self.m.kill()
        subprocess.run(["cp", "-a", self.m.state, self.saved], check=True)
        self.files = files_of(self.saved)
        self.names = names_of(self.saved)

    def one(self, seed):
        m, rng = self.m, random.Random(seed)
        shutil.rmtree(m.state)
        subprocess.run(["cp", "-a", self.saved, m.state], check=True)
        done = self.done = []
        contents = rng.random() < 0.7
        for _ in range(rng.choice([1, 1, 2, 4])):
            file = rng.choice(self.files)
            path = os.path.join(m.state, file)
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            done.append((file, damage_contents(rng, path) if contents else replace(rng, path)))
        contents = contents and not other_ids(m.state, done)
        said = len(m.errors())
        m.start(check=False)
        code = self.loop.serving()
        if code is None:
            self.served += 1
            lost = self.names - names_of(m.state) if contents else set()
            use(m)
            assert m.proc.poll() is None, "ended with %s while it was used" % m.proc.returncode
            if rng.random() < 0.5:
                m.kill()
            else:
                m.proc.terminate()
                code = m.proc.wait(conftest.WAIT)
                assert code == 0, "ended with %d" % code
        else:
            assert code == 1, "the start ended with %d" % code
            assert m.errors()[said:].strip(), "refused without a word"
            lost = self.names - names_of(m.state) if contents else set()
        assert not lost, "removed " + " ".join(sorted(lost))
        assert "Sanitizer" not in m.errors()[said:] and "runtime error" not in m.errors()[said:], "a sanitizer reports"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-seconds", type=float, default=10)
    parser.add_argument("-seed", type=int, default=int(time.time()))
    parser.add_argument("-once", action="store_true")
    args = parser.parse_args()
    base, state = tempfile.mkdtemp(prefix="ubpffs-start-"), conftest.make_base(failnth.fast_parent())
    fuzz = Fuzz(failnth.Loop(conftest.Mount(base, state), os.path.join(base, "page"), False))
    until, runs, problems = time.monotonic() + args.seconds, 0, 0
    print("fuzz_start: %g s from seed %d" % (args.seconds, args.seed), flush=True)
    try:
        fuzz.make()
        while not problems and (not runs or not args.once and time.monotonic() < until):
            said = len(fuzz.m.errors())
            try:
                fuzz.one(args.seed + runs)
            except AssertionError as e:
                problems += 1
                print("fuzz_start: seed %d: %s: %s\n%s" % (args.seed + runs, fuzz.done, e, fuzz.m.errors()[said:][-3000:]), flush=True)
            runs += 1
    finally:
        m = fuzz.m
        m.take_away()
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
    print("fuzz_start: %d damaged states, %d served" % (runs, fuzz.served))
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
