"""
The server is replaced by another program, which goes on with the mount (ubpfctl upgrade, SIGUSR2 to the keeper).

UBPFFS_UPGRADES says how often under load: 20 times, unless it is told otherwise.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import test_keeper
from conftest import BUILD, ROOT, SERVER, USERS, WAIT, as_user, die_with_us, needs_root, wait_for
from test_keeper import HASH, Points, asked_again, go_on_under, k, make_load, make_map, nothing_grew  # noqa: F401
from test_keeper import print_pauses, server, used

UPGRADES = int(os.environ.get("UBPFFS_UPGRADES", "20"))
CTL = os.path.join(BUILD, "ubpfctl")


@pytest.fixture
def points(cold):
    return Points(cold)


@pytest.fixture
def other(cold):
    """Another file of the same program."""
    path = os.path.join(cold.base, "other-ubpffs")
    shutil.copy(SERVER, path)
    return path


def upgrade(m, *program, user=None):
    return subprocess.run([CTL, "upgrade", m.path, *program], capture_output=True, text=True, timeout=4 * WAIT,
                          **as_user(user))


def refused(m, reason, *program):
    pid = server(m)
    r = upgrade(m, *program)
    assert r.returncode == 1 and reason in r.stderr, r.stderr
    assert server(m) == pid


def runs(m):
    return os.readlink("/proc/%d/exe" % server(m))


def test_kinds_have_names_of_their_own():
    names = []
    for path in glob.glob(os.path.join(ROOT, "fs", "**", "*.c"), recursive=True):
        with open(path) as f:
            names += re.findall(r'^FS_KIND\(\w+, "(.*)"\);', f.read(), re.M)
    assert len(names) > 25 and len(set(names)) == len(names)


def test_another_program_goes_on(k, other):
    k.expect("no upgrade to")
    make_map(k, "a", *HASH)
    fd = os.open(k.p("maps/a/map"), os.O_RDWR)
    pid, keeper = server(k), k.metrics()["keeper"]
    assert keeper == k.proc.pid
    r = upgrade(k, other)
    assert r.returncode == 0, r.stderr
    assert server(k) != pid and "process %d," % server(k) in r.stdout
    assert runs(k) == other and k.metrics()["keeper"] == keeper
    assert not asked_again(fd)
    os.unlink(other)  # what is replaced by others of the same name stays what it is
    test_keeper.kill_and_wait(k)
    assert runs(k) == other + " (deleted)"
    refused(k, "No such file")
    shutil.copy(SERVER, other)
    pid = server(k)
    os.kill(keeper, signal.SIGUSR2)  # by the name
    wait_for(lambda: server(k) != pid, "the next server")
    assert runs(k) == other
    assert not asked_again(fd)
    os.close(fd)


def test_what_cannot_go_on_is_refused(k, tmp_path):
    k.expect("no upgrade to")
    k.expect("exit")  # of the last start
    refused(k, "it ended before it could say", shutil.which("false"))
    refused(k, "it ended before it could say", shutil.which("true"))
    text = tmp_path / "text"
    text.write_text("no program\n")
    refused(k, "Permission denied", str(text))
    text.chmod(0o755)
    refused(k, "Exec format error", str(text))
    text.write_text("#!/bin/sh\necho one >&2\necho the reason >&2\n")
    refused(k, "EPROTO: the reason", str(text))
    with open(os.path.join(k.state, "version"), "w") as f:
        f.write("3 3\n")
    refused(k, "the state is of version 3, and this program reads up to 2")
    k.umount()
    assert k.start(check=False).proc.wait(WAIT) == 1
    assert "the state is of version 3" in k.errors()


def test_a_program_that_says_nothing_is_given_up(k, tmp_path):
    k.expect("no upgrade to")
    script = tmp_path / "sleeps"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    hangs = subprocess.Popen([CTL, "upgrade", k.path, str(script)], stderr=subprocess.PIPE, text=True,
                             preexec_fn=die_with_us)
    wait_for(lambda: subprocess.run(["pgrep", "-P", str(k.proc.pid), "sleep"], capture_output=True).returncode == 0,
             "the probe")
    refused(k, "EBUSY: another upgrade is under way")
    test_keeper.kill_and_wait(k)  # servers follow each other meanwhile
    assert "it did not say in time" in hangs.communicate(timeout=2 * WAIT)[1]
    assert upgrade(k).returncode == 0


def test_who_may_not(k):
    needs_root("acts as an ordinary user")
    os.chmod(k.base, 0o755)
    pid = server(k)
    r = upgrade(k, user=USERS[0])
    assert r.returncode == 1 and "EPERM: a server is replaced by root and by who runs it" in r.stderr
    r = subprocess.run(["kill", "-USR2", str(k.proc.pid)], capture_output=True, text=True, **as_user(USERS[0]))
    assert "not permitted" in r.stderr
    assert server(k) == pid


def test_a_server_without_a_keeper(cold):
    m = cold.start("keeper=off")
    refused(m, "EOPNOTSUPP: this server has no keeper")
    r = subprocess.run([SERVER, "-f", "-o", "keeper=server,state=" + m.state, m.path], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=WAIT)
    assert r.returncode == 1 and "are for a keeper to say" in r.stderr


def test_clients_see_a_pause(k, other):
    """By the command and by the signal, to one program and the other."""
    clients = make_load(k)
    before = used(k)

    def upgrades():
        for i in range(UPGRADES):
            time.sleep(0.05)
            if i % 5 == 4:
                pid = server(k)
                os.kill(k.proc.pid, signal.SIGUSR2)
                wait_for(lambda: server(k) != pid, "the next server")
                continue
            program = (other, SERVER)[i % 2]
            r = upgrade(k, program)
            assert r.returncode == 0, r.stderr
            assert runs(k) == program

    go_on_under(k, clients, upgrades)
    nothing_grew(before, used(k))
    print_pauses(k, "upgrades", UPGRADES)


def test_a_program_that_crashes_at_its_start(points, k, other):
    """Nobody notices but by the log."""
    points.needs_faults()
    points.put("fault-at-start", other)

    def upgrades():
        for _ in range(3):
            r = upgrade(k, other)
            assert r.returncode == 1 and "the server of before goes on" in r.stderr, r.stderr
            assert runs(k) == SERVER

    go_on_under(k, make_load(k), upgrades)
    assert k.errors().count("other-ubpffs: it was ended by signal 11 after") == 3
    os.unlink(os.path.join(points.dir, "fault-at-start"))
    assert upgrade(k, other).returncode == 0
    assert runs(k) == other


def test_a_daemon_is_started_again_as_it_was(cold):
    """Also with a state that was named from the directory of then, and has a comma in its name."""
    m = cold
    os.mkdir(os.path.join(m.base, "here"))
    m.state = os.path.join(m.base, "here", "a,b c")
    subprocess.run([SERVER, "-o", "owner_only,state=a\\,b c", "../m"], check=True, timeout=WAIT,
                   cwd=os.path.join(m.base, "here"), preexec_fn=die_with_us)
    try:
        os.mkdir(m.p("mine"))
        pid = server(m)
        assert upgrade(m).returncode == 0
        assert server(m) != pid and os.path.isdir(m.p("mine"))
        args = open("/proc/%d/cmdline" % server(m)).read().split("\0")
        assert "owner_only" in args[args.index("-o") + 1] and m.path in args
        pid = server(m)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server(m) != pid, "the next server")
        assert os.path.isdir(m.p("mine"))
    finally:
        keeper = m.metrics()["keeper"]
        os.kill(keeper, signal.SIGTERM)
        wait_for(lambda: not os.path.exists("/proc/%d" % keeper), "the keeper to end")
