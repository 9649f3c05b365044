"""
What a server may do after it has begun, and the processes that do the rest for it: a list, and what is not on it is tried.
"""
import errno
import os
import signal
import subprocess

import pytest

from conftest import BUILD, USERS, needs_root, wait_for

# linux/capability.h; why: fs/sandbox/sandbox.c, fs/fuse/protocol/mounter.c, fs/agent/service/services.c
CAPS = {"chown": 0, "dac_override": 1, "dac_read_search": 2, "fowner": 3, "fsetid": 4, "net_admin": 12, "net_raw": 13,
        "ipc_lock": 14, "setgid": 6, "setpcap": 8, "setuid": 7, "sys_admin": 21, "sys_nice": 23, "sys_ptrace": 19, "perfmon": 38}
CAP_SYS_RESOURCE = 24


def own():
    with open("/proc/self/status") as f:
        return int(next(line for line in f if line.startswith("CapEff:")).split()[1], 16)


# Limits stand for two of them, where root may raise limits.
SERVER = ("chown", "dac_override", "fowner", "fsetid") + (() if own() >> CAP_SYS_RESOURCE & 1 else ("ipc_lock", "sys_nice"))
ENFORCES = SERVER + ("net_admin", "dac_read_search")
MOUNTER = "chown", "dac_read_search", "sys_admin"
CAPTURES = ("net_raw",)
AGENT = ("setuid", "setgid", "setpcap", "sys_ptrace", "perfmon", "sys_admin", "dac_override", "dac_read_search", "net_raw")
FILTERED = 2  # Seccomp: in /proc/PID/status

sanitized = bool(os.environ.get("UBPFFS_SAN"))


def mask(names):
    return sum(1 << CAPS[name] for name in names)


def rights(pid):
    """Of each thread: what it has, what it could get, no_new_privs and whether calls are filtered."""
    found = set()
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            v = dict(line.split(":\t", 1) for line in f)
        found.add(tuple(int(v[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")) +
                  (int(v["NoNewPrivs"]), int(v["Seccomp"])))
    return found


def children(pid):
    """By name."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        pids = [int(word) for word in f.read().split()]
    found = {}
    for child in pids:
        with open("/proc/%d/comm" % child) as f:
            found[f.read().strip()] = child
    return found


def child(pid, name):
    """It has its name when it has given up the rest."""
    wait_for(lambda: name in children(pid), name)
    return children(pid)[name]


def keeps(pid, names):
    """These capabilities and no others, now and ever."""
    ((effective, permitted, bounding, inheritable, ambient, no_new_privs, filtered),) = rights(pid)
    all_of = mask(names)
    assert (effective, permitted, inheritable, ambient) == (all_of & own(), all_of & own(), 0, 0)
    assert not bounding & ~all_of and no_new_privs == 1
    return filtered


def limit(pid, name):
    with open("/proc/%d/limits" % pid) as f:
        return next(line for line in f if line.startswith(name)).split()[-3:-1]


def filtered_as_built(pid):
    return {r[-2:] for r in rights(pid)} == {(1, 0 if sanitized else FILTERED)}


@pytest.mark.parametrize("keeper", ("off", "on"))
def test_what_it_may(cold, keeper):
    needs_root("has something to give up")
    cold.expect("ended by signal|clients waited")
    cold.start("keeper=" + keeper)
    for _ in range(2 if keeper == "on" else 1):
        pid = cold.metrics()["pid"]
        keeps(pid, SERVER)
        assert filtered_as_built(pid)
        for process in (pid, cold.proc.pid) if not sanitized else ():
            assert limit(process, "Max core file size") == ["1", "1"]
        keeps(child(pid, "ubpffs-mounter"), MOUNTER)
        keeps(child(pid, "ubpffs-agent"), AGENT)
        if keeper == "on":
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: cold.metrics()["pid"] != pid, "the next server")


def test_what_an_enforcing_one_may(cold):
    needs_root("has something to give up")
    cold.expect("packets cannot|cgroup cannot|exit")
    cold.start("enforce", check=False)
    wait_for(lambda: cold.proc.poll() is not None or cold.serving(), "the mount")
    if cold.proc.poll() is not None:
        pytest.skip("no packets are queued here: " + cold.errors())
    pid = cold.metrics()["pid"]
    keeps(pid, ENFORCES)
    assert filtered_as_built(pid)


def test_what_a_users_may(cold):
    needs_root("starts one as somebody else")
    cold.user = USERS[0]
    os.chown(cold.path, cold.user, cold.user)
    os.chown(os.path.dirname(cold.state), cold.user, cold.user)
    cold.start()
    pid = cold.server()
    assert filtered_as_built(pid)
    child(pid, "ubpffs-mounter")


def test_it_can_be_left_out(cold):
    needs_root("has something to give up")
    cold.start("sandbox=off")
    pid = cold.metrics()["pid"]
    for process in pid, child(pid, "ubpffs-mounter"):
        ((effective, *_, no_new_privs, filtered),) = rights(process)
        assert (effective, no_new_privs, filtered) == (own(), 0, 0)


def test_what_is_inherited(cold):
    """Nothing of what the server has open or shares with later ones; of the mount only who mounts it knows."""
    needs_root("looks into processes that show nothing")
    cold.expect("ended by signal|clients waited")
    cold.start("keeper=on")
    for _ in range(2):
        pid = cold.metrics()["pid"]
        for name in "ubpffs-agent", "ubpffs-mounter":
            process = child(pid, name)
            opened = {int(fd): os.readlink("/proc/%d/fd/%s" % (process, fd)) for fd in os.listdir("/proc/%d/fd" % process)}
            assert not [to for fd, to in opened.items() if fd > 2 and not to.startswith(("socket:", "anon_inode:[signalfd]"))]
            assert len([to for to in opened.values() if to.startswith("socket:")]) == 1, opened
            with open("/proc/%d/maps" % process) as f:
                assert "ubpffs-keeper" not in f.read()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: cold.metrics()["pid"] != pid, "the next server")


def test_nobody_looks_into_it(cold):
    """Not even who has the same user and capabilities."""
    needs_root("has something to give up")
    if sanitized:
        pytest.skip("its library makes the report at the end by tracing")
    cold.start("keeper=on")
    pids = cold.proc.pid, cold.metrics()["pid"]
    caps = ",".join("+" + name for name in SERVER)
    narrow = ["setpriv", "--bounding-set=-all," + caps, "--inh-caps=-all"]
    other = subprocess.Popen(narrow + ["sleep", "60"])
    try:
        wait_for(lambda: b"sleep" in open("/proc/%d/cmdline" % other.pid, "rb").read() or other.poll() is not None, "sleep")
        looks = [subprocess.run(narrow + ["cat", "/proc/%d/maps" % p], capture_output=True, text=True)
                 for p in (other.pid, *pids)]
    finally:
        other.kill()
        other.wait()
    if looks[0].returncode:
        pytest.skip("no process has less capabilities here: " + looks[0].stderr)
    assert all(look.returncode and "ermi" in look.stderr for look in looks[1:]), looks


@pytest.mark.parametrize("who", ("root", "user"))
def test_what_it_must_not(cold, who):
    needs_root("has something to give up, and starts one as somebody else")
    if sanitized:
        pytest.skip("a sanitizer comes before all other libraries")
    if who == "user":
        cold.user = USERS[0]
        os.chown(cold.path, cold.user, cold.user)
        os.chown(os.path.dirname(cold.state), cold.user, cold.user)
    os.mkdir(cold.state, 0o700)
    tried = os.path.join(cold.state, "tried")
    cold.environment = {"UBPFFS_TRY": tried, "LD_PRELOAD": os.path.join(BUILD, "tests", "try_calls.so")}
    cold.expect("is refused")
    if who == "user":
        os.chown(cold.state, cold.user, cold.user)
    cold.start("keeper=on")  # which reads by readv
    open(tried, "w").close()
    if who == "user":
        os.chown(tried, cold.user, cold.user)
    cold.out("ls $M; stat $M/version")

    def results():
        cold.out("ls $M")  # another request
        with open(tried) as f:
            return dict(line.split() for line in f)

    wait_for(lambda: "end" in results(), "the calls to be tried")
    found = {name: int(err) for name, err in results().items() if name != "end"}
    may = {name: err for name, err in found.items() if name.startswith("may-")}
    must_not = {name: err for name, err in found.items() if name not in may}
    assert len(may) == 5 and not any(may.values()), may
    assert len(must_not) >= 38
    assert set(must_not.values()) <= {errno.EPERM, errno.ENOSYS, errno.EACCES, errno.EXDEV}, must_not
    assert "(execve) is refused" in cold.errors() and "(mmap) is refused with these arguments" in cold.errors()


def test_what_a_clients_process_may(cold):
    """One that captures has no right but that."""
    needs_root("captures on an interface")
    cold.start()
    cold.load("event_packets")
    cold.sh("mkdir $M/events/e; cd $M/events/e; echo pcap > type; echo lo > interface; echo keep_udp > attach")
    pid = cold.metrics()["pid"]
    agent = child(pid, "ubpffs-agent")
    (service,) = children(agent).values()
    assert keeps(service, CAPTURES) == (0 if sanitized else FILTERED)
