#!/usr/bin/python3
"""
hogs.py - how much longer one user's requests take while others ask for all that they can (root)

    hogs.py [-seconds 3] [KIND...]        UBPFFS_BUILD: the build directory

For each kind of hog eight processes of one user (`two`: four each of two) go on, while another user loads, runs, reads a dump,
writes an entry and lists. Prints the medians of these, and as factors of the idle ones; `cpu` are eight processes that
only compute: what the machine's processors alone explain. No test: it asserts nothing.
"""
import argparse
import contextlib
import os
import signal
import statistics
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import commands as c  # noqa: E402
from conftest import PROGS, USERS, make_mount  # noqa: E402

A, B = USERS
THIRD = 60000
HOGS = 8
DEEP = 4000
ENTRIES = 1000000


def read_all(path):
    fd = os.open(path, os.O_RDONLY)
    while os.read(fd, 1 << 17):
        pass
    os.close(fd)


def write_to(path, data, flags=os.O_WRONLY):
    fd = os.open(path, flags)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def obj(name):
    with open(os.path.join(PROGS, name + ".bpf.o"), "rb") as f:
        return f.read()


# ---- hogs: each goes round until it is killed

def hog_cpu(m, i):
    while True:
        pass


def hog_run(m, i, prog="endless_loop"):
    fd = os.open(m + "/progs/%s/run" % prog, os.O_RDWR)
    os.write(fd, bytes(64))
    os.read(fd, 4096)


def hog_verify(m, i):
    data = obj("slow_verify")
    while True:
        with contextlib.suppress(OSError):
            write_to(m + "/progs/new", data)
            subprocess.run(["rm", "-r", m + "/progs/slow_verify"], stderr=subprocess.DEVNULL)


def hog_dump(m, i):
    while True:
        read_all(m + "/maps/million/dump")


def hog_list(m, i):
    while True:
        os.listdir(m + "/maps/million/entries")


def hog_deep(m, i):
    """A tree of DEEP levels, made and looked at again and again."""
    os.mkdir(m + "/deep%d" % i)
    os.chdir(m + "/deep%d" % i)
    for _ in range(DEEP):
        os.mkdir("d")
        os.chdir("d")
    while True:
        os.mkdir("x")
        os.stat("x")
        os.symlink("y", "x/l")
        os.unlink("x/l")
        os.rmdir("x")
        os.listdir(".")


def hog_find(m, i):
    """Walking down such trees."""
    while True:
        os.chdir(m + "/deep")
        with contextlib.suppress(OSError):
            while True:
                os.listdir(".")
                os.chdir("d")


def hog_names(m, i):
    """Moving the top of a deep tree: all below has another path then."""
    a, b = m + "/top%d" % i, m + "/bottom%d" % i
    os.mkdir(a)
    while True:
        os.rename(a, b)
        os.rename(b, a)


def hog_write(m, i):
    while True:
        write_to(m + "/maps/small/entries/%d" % i, b"1\n", os.O_WRONLY | os.O_CREAT)


def hog_big_write(m, i):
    """A megabyte of lines into dump."""
    lines = b"".join(b"%d 1\n" % k for k in range(i * 100000, i * 100000 + 80000))
    while True:
        write_to(m + "/maps/million/dump", lines)


def hog_ioctl(m, i):
    fd = os.open(m + "/maps/million/map", os.O_RDWR)
    while True:
        for k in range(1000):
            with contextlib.suppress(OSError):
                c.call(fd, c.MAP_LOOKUP_ELEM, c.key(k), 8)


def hog_batch(m, i):
    """Transfers of a megabyte, updated at once."""
    fd = os.open(m + "/maps/million/map", os.O_RDWR)
    pairs = b"".join(struct.pack("=IQ", k, 1) for k in range(i * 100000, i * 100000 + 90000))
    while True:
        for off in range(0, len(pairs), 16000):
            c.call(fd, c.PUT, pairs[off:off + 16000], flags=off, xfer=1)
        c.raw(fd, c.MAP_UPDATE_BATCH, b"", 0, xfer=1, in_len=len(pairs), count=len(pairs) // 12)


def hog_runs(m, i):
    """Long test runs of a short program, by the ioctl."""
    fd = os.open(m + "/progs/endless_calls/prog", os.O_RDWR)
    while True:
        c.call(fd, c.PROG_TEST_RUN, struct.pack("=8I", 64, 0, 64, 0, 1 << 24, 0, 0, 0) + bytes(64), 96)


def hog_attach(m, i):
    cgroup = m + "/cgroup/of_a/c%d" % i
    os.mkdir(cgroup)
    while True:
        write_to(cgroup + "/ingress.attach", b"filter_in\n")
        write_to(cgroup + "/ingress.attach", b"\n")


def hog_loads(m, i):
    """Small loads, one after the other."""
    data = obj("global_data")
    while True:
        with contextlib.suppress(OSError):
            write_to(m + "/progs/new", data)
            for name in os.listdir(m + "/progs"):
                if name.startswith("global_"):
                    os.unlink(m + "/progs/%s/prog" % name)


def hog_maps(m, i):
    d = m + "/maps/h%d" % i
    while True:
        os.mkdir(d)
        for name, v in ("type", b"hash"), ("key_size", b"4"), ("value_size", b"8"), ("max_entries", b"100000"):
            write_to(d + "/" + name, v)
        os.unlink(d + "/map")
        with contextlib.suppress(OSError):
            os.rmdir(d)


def hog_timers(m, i):
    d = m + "/events/t%d" % i
    os.mkdir(d)
    for name, v in ("type", b"timer"), ("interval_ms", b"1"), ("attach", b"endless_sample"):
        write_to(d + "/" + name, v)
    signal.pause()


def hog_log(m, i):
    while True:
        with contextlib.suppress(OSError):
            os.mkdir(m + "/progs/new/x")
        read_all(m + "/log")


KINDS = {name[4:]: f for name, f in list(globals().items()) if name.startswith("hog_")}


def child(uid, f, *args):
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        sys.stderr = open(os.devnull, "w") if not os.environ.get("HOGS_DEBUG") else sys.stderr
        f(*args)
    except BaseException as e:
        if os.environ.get("HOGS_DEBUG"):
            print("hog: %r" % e, file=sys.stderr)
        os._exit(1)
    os._exit(0)


# ---- the other user

def victim_load(m):
    write_to(m + "/progs/new", obj("subprograms"))


def victim_run(m):
    fd = os.open(m + "/progs/count_ports/run", os.O_RDWR)
    os.write(fd, bytes(64))
    os.read(fd, 4096)
    os.close(fd)


def victim_dump(m):
    read_all(m + "/maps/by_port/dump")


def victim_echo(m):
    write_to(m + "/maps/by_proto/entries/3", b"4")


def victim_ls(m):
    os.listdir(m + "/progs")


MADE = set()  # programs of that load
VICTIM = (victim_load, victim_run, victim_dump, victim_echo, victim_ls)


def forget(m):
    """What the victim's load made."""
    for name in MADE:
        os.unlink(m + "/progs/%s/prog" % name)


def measure(m, seconds, fd):
    times = {f: [] for f in VICTIM}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times[victim_load]) < 5:
        for f in VICTIM:
            begun = time.monotonic()
            f(m)
            times[f].append(time.monotonic() - begun)
        forget(m)
        time.sleep(0.02)
    os.write(fd, "".join("%g %g\n" % (statistics.median(t), max(t)) for t in times.values()).encode())


def ask(m, seconds):
    """As user B: (median, worst) of each."""
    r, w = os.pipe()
    pid = child(B, measure, m, seconds, w)
    os.close(w)
    with os.fdopen(r) as f:
        lines = [tuple(map(float, line.split())) for line in f]
    os.waitpid(pid, 0)
    return lines


def prepare(mount):
    m = mount.path
    mount.load("endless", user=A)
    mount.sh("echo 1 > $M/maps/go/entries/0", user=A)
    mount.load("count_ports", user=B)
    mount.sh("chmod 666 $M/progs/endless_loop/prog", user=A)
    mount.sh("mkdir $M/maps/million $M/maps/small; for m in million small; do cd $M/maps/$m; echo hash > type; echo 4 > key_size;"
             "echo 8 > value_size; [ $m = small ] && echo 100 > max_entries || echo %d > max_entries; done" % ENTRIES, user=A)
    fd = os.open(m + "/maps/million/map", os.O_RDWR)
    for start in range(0, ENTRIES, 1000):
        c.raw(fd, c.MAP_UPDATE_BATCH, b"".join(struct.pack("=IQ", k, 1) for k in range(start, start + 1000)), 12000,
              in_len=12000, count=1000)
    os.close(fd)
    before = set(os.listdir(m + "/progs"))
    mount.load("subprograms", user=B)
    MADE.update(set(os.listdir(m + "/progs")) - before)
    forget(m)
    mount.load("cgroup_filter", user=A)
    mount.sh("mkdir $M/cgroup/of_a; chown %d $M/cgroup/of_a" % A)
    pid = child(A, lambda: (os.mkdir(m + "/deep"), os.chdir(m + "/deep"),
                            [(os.mkdir("d"), os.chdir("d")) for _ in range(DEEP)]))
    os.waitpid(pid, 0)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-seconds", type=float, default=3)
    p.add_argument("kinds", nargs="*")
    args = p.parse_args()
    mount, dirs = make_mount("tmpfs")
    mount.start()
    try:
        prepare(mount)
        idle = ask(mount.path, args.seconds)
        names = [f.__name__[7:] for f in VICTIM]
        print("%-10s" % "median ms" + "".join("%18s" % n for n in names))
        print("%-10s" % "idle" + "".join("%18.2f" % (median * 1e3) for median, _ in idle), flush=True)
        for kind in args.kinds or list(KINDS) + ["two"]:
            f = KINDS.get(kind, hog_run)
            hogs = [child(THIRD if kind == "two" and i % 2 else A, f, mount.path, i) for i in range(HOGS)]
            time.sleep(6 if kind == "deep" else 1.5)
            now = ask(mount.path, args.seconds)
            alive = sum(os.waitpid(pid, os.WNOHANG)[0] == 0 for pid in hogs)
            for pid in hogs:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
            for pid in hogs:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, 0)
            print("%-10s" % kind + "".join("%9.2f x%-7.1f" % (n[0] * 1e3, n[0] / i[0]) for n, i in zip(now, idle)) +
                  (" %d hogs ended" % (HOGS - alive) if alive < HOGS else ""), flush=True)
            time.sleep(0.5)
    finally:
        mount.end()
        subprocess.run(["rm", "-rf", *dirs])


if __name__ == "__main__":
    main()
