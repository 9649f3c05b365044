"""Programs of the mount in a process of the client's own: the same maps, live; who may; what is left when it is killed."""
import contextlib
import os
import signal
import subprocess
import time

import pytest

from conftest import BUILD, USERS, WAIT, as_user, needs_root

A, B = USERS
CLIENT = os.path.join(BUILD, "tests", "e2e", "local_client")


class Client:
    def __init__(self, m, path, user=None):
        self.proc = subprocess.Popen([CLIENT, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
                                     env=dict(os.environ, UBPFFS_MOUNT=m.path), **as_user(user))
        self.first = self.line()

    def line(self):
        return self.proc.stdout.readline().rstrip("\n")

    def ask(self, what):
        self.proc.stdin.write(str(what) + "\n")
        self.proc.stdin.flush()
        return self.line()

    def end(self):
        self.proc.stdin.close()
        self.proc.stdout.read()
        return self.proc.wait(WAIT)


@contextlib.contextmanager
def client(m, path, user=None):
    c = Client(m, path, user)
    try:
        yield c
    finally:
        if c.proc.poll() is None:
            c.proc.kill()
        c.proc.wait(WAIT)
        c.proc.stdin.close()
        c.proc.stdout.close()


def refusal(m, path, user=None):
    with client(m, path, user) as c:
        return c.first, c.line()


def value(m, *names):
    return int(m.read("maps", *names))


@pytest.fixture
def loaded(m):
    m.load("local")
    os.mkdir(m.p("app"))
    os.link(m.p("progs", "add", "prog"), m.p("app", "rule"))
    return m


def test_its_maps_are_the_mounts(loaded):
    """What a run counts is seen at once, and what is written is seen by the next run; constants are what they are."""
    m = loaded
    with client(m, "progs/add/prog") as c:
        assert c.first.startswith("open ") and c.first.endswith(" native" if os.uname().machine == "x86_64" else "d")
        assert c.ask(5) == "1"
        assert value(m, "sums", "entries", "0") == 10
        m.sh("echo 100 > $M/maps/sums/entries/0")
        assert c.ask(1) == "1"
        assert value(m, "sums", "entries", "0") == 102
        # And what the server runs, on the same memory.
        m.sh("printf '\\001\\0\\0\\0\\0\\0\\0\\0' > $M/progs/add/run")
        m.sh("cat $M/progs/add/run")
        assert value(m, "sums", "entries", "0") == 104
        assert '"runs":3' in m.read("maps", "add.bss", "dump.json")
        assert c.end() == 0


def test_the_program_is_replaced_while_it_runs(loaded):
    m = loaded
    with client(m, "app/rule") as c:
        assert c.ask(1) == "1"
        assert c.ask("update") == "0 "
        m.sh("ln -f $M/progs/add_other/prog $M/app/rule")
        assert c.ask(1) == "1"  # until it looks
        assert c.ask("update") == "1 "
        assert c.ask(7) == "2"
        # What cannot be taken leaves the one before, and says why.
        os.unlink(m.p("app", "rule"))
        answer = c.ask("update")
        assert answer.startswith("-2 ") and "app/rule" in answer
        os.link(m.p("progs", "to_ring", "prog"), m.p("app", "rule"))
        answer = c.ask("update")
        assert answer.startswith("-95 ") and "map ring" in answer and "only arrays without locks" in answer
        assert c.ask(1) == "2"
    assert value(m, "sums", "entries", "0") == 4 and value(m, "sums", "entries", "1") == 8


def test_hash_maps_are_looked_up(loaded):
    """While others change them; a client that is killed in a lookup holds nothing."""
    m = loaded
    with client(m, "progs/in_table/prog") as c:
        assert c.ask(0) == "0"
        m.sh("echo 5 > $M/maps/table/entries/1")
        assert c.ask(0) == "1"
        os.unlink(m.p("maps", "table", "entries", "1"))
        assert c.ask(0) == "0"
        for _ in range(3):
            m.sh("for i in 1 2 3 4; do echo $i > $M/maps/table/entries/$i; done; rm $M/maps/table/entries/[234]")
            assert c.ask(0) == "1"
        assert c.ask("loop") == "looping"
        m.sh("for i in $(seq 50); do echo $i > $M/maps/table/entries/1; rm $M/maps/table/entries/1; done")
        c.proc.kill()
        c.proc.wait(WAIT)
    m.sh("echo 7 > $M/maps/table/entries/1")
    m.umount()
    m.start()
    assert value(m, "table", "entries", "1") == 7


def test_a_killed_client_loses_and_blocks_nothing(loaded):
    """It counts in four threads until SIGKILL: all that was counted is there, and everything goes on."""
    m = loaded
    for _ in range(5):
        with client(m, "app/rule") as c:
            assert c.ask("loop") == "looping"
            before = value(m, "sums", "entries", "0")
            end = time.monotonic() + WAIT
            while value(m, "sums", "entries", "0") < before + 1000:
                assert time.monotonic() < end
            c.proc.send_signal(signal.SIGKILL)
            c.proc.wait(WAIT)
        seen = value(m, "sums", "entries", "0")
        assert seen >= before + 1000
        m.sh("printf '\\001\\0\\0\\0\\0\\0\\0\\0' > $M/progs/add/run; cat $M/progs/add/run")
        assert value(m, "sums", "entries", "0") == seen + 2
        m.sh("echo 5 > $M/maps/sums/entries/3; cat $M/maps/sums/dump > /dev/null")


def test_many_processes_count_as_one(loaded):
    m = loaded
    clients = [Client(m, "app/rule") for _ in range(4)]
    for c in clients:
        c.proc.stdin.write("1\n" * 500)
    for c in clients:
        assert c.end() == 0
    assert value(m, "sums", "entries", "0") == 4 * 500 * 2


def test_a_server_that_ends_does_not_end_it(loaded):
    m = loaded
    with client(m, "app/rule") as c:
        assert c.ask(1) == "1"
        m.kill()
        assert c.ask(1) == "1"
        assert c.ask("update").startswith("-")
        assert c.ask(1) == "1"
        m.take_away()
        m.start()
        assert value(m, "sums", "entries", "0") == 6
        assert c.ask(1) == "1"
        assert value(m, "sums", "entries", "0") == 8


def test_what_cannot_be_taken(loaded):
    m = loaded
    first, why = refusal(m, "progs/to_ring/prog")
    assert first == "EOPNOTSUPP" and why.startswith("map ring (type 27): only arrays without locks")
    for prog in "to_table", "count_in_table":
        first, why = refusal(m, "progs/%s/prog" % prog)
        assert first == "EACCES" and why.startswith("program: " + prog)
    first, why = refusal(m, "progs/none/prog")
    assert first == "ENOENT"
    first, why = refusal(m, "maps/sums/map")
    assert first == "ENOTTY" and why.startswith("maps/sums/map: ")


def test_another_users_program_or_server(loaded):
    needs_root("acts as other users")
    m = loaded
    m.sh("chmod 666 $M/progs/add/prog $M/maps/sums/map")
    # Root's program for a user, and a user's for root.
    with client(m, "progs/add/prog", user=A) as c:
        assert c.first == "EACCES" and "runs as one" in c.line()
    m.sh("cat $P/raw.bpf.o > $M/progs/new", user=A)
    first, why = refusal(m, "progs/sum_bytes/prog")
    assert first == "EACCES" and "another user's" in why


def test_an_ordinary_user_with_a_server_of_his_own(user_mount):
    """All of it without root."""
    m = user_mount.start()
    m.sh("cat $P/local.bpf.o > $M/progs/new")
    with client(m, "progs/add/prog", user=m.user) as c:
        assert c.first.startswith("open "), c.first
        assert c.ask(21) == "1"
    assert m.out("cat $M/maps/sums/entries/0") == "42\n"


def test_the_example(loaded):
    m = loaded
    m.sh("cat %s > $M/progs/new; ln $M/progs/long_lines/prog $M/app/lines" %
         os.path.join(BUILD, "examples", "lines.bpf.o"))
    p = subprocess.Popen([os.path.join(BUILD, "examples", "local"), "app/lines"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, env=dict(os.environ, UBPFFS_MOUNT=m.path))
    try:
        p.stdin.write("short\na longer line\n")
        p.stdin.flush()
        assert p.stdout.readline() == "a longer line\n"
        m.sh("ln -f $M/progs/short_lines/prog $M/app/lines")
        p.stdin.write("another long line\nbrief\n")
        p.stdin.close()
        assert p.stdout.read() == "brief\n"
        assert p.wait(WAIT) == 0
    finally:
        p.kill()
        p.wait()
    assert m.out("cat $M/maps/lines/dump") == "0 4\n1 2\n"
