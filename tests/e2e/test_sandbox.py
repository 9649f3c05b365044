"""
What a server of root may do after it has begun: a list, and what is not on it is tried.
"""
import errno
import os
import signal

import pytest

from conftest import BUILD, needs_root, wait_for

# linux/capability.h; why: fs/sandbox.c
KEPT = {"chown": 0, "dac_override": 1, "dac_read_search": 2, "fowner": 3, "fsetid": 4, "kill": 5, "net_admin": 12, "net_raw": 13, "ipc_lock": 14,
        "sys_ptrace": 19, "sys_admin": 21, "sys_nice": 23}
ALL = sum(1 << cap for cap in KEPT.values())


def rights(pid):
    """Of each thread: what it has, what it could get, no_new_privs."""
    found = set()
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            v = dict(line.split(":\t", 1) for line in f)
        found.add(tuple(int(v[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")) +
                  (int(v["NoNewPrivs"]),))
    return found


def own():
    (has,) = rights(os.getpid())
    return has[0]


@pytest.mark.parametrize("keeper", ("off", "on"))
def test_what_it_may(cold, keeper):
    needs_root("has something to give up")
    cold.expect("ended by signal|clients waited")
    cold.start("keeper=" + keeper)
    for _ in range(2 if keeper == "on" else 1):
        pid = cold.metrics()["pid"]
        ((effective, permitted, bounding, inheritable, ambient, no_new_privs),) = rights(pid)
        assert (effective, permitted, inheritable, ambient) == (ALL & own(), ALL & own(), 0, 0)
        assert not bounding & ~ALL and no_new_privs == 1
        if keeper == "on":
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: cold.metrics()["pid"] != pid, "the next server")


def test_it_can_be_left_out(cold):
    needs_root("has something to give up")
    cold.start("sandbox=off")
    ((effective, *_, no_new_privs),) = rights(cold.metrics()["pid"])
    assert (effective, no_new_privs) == (own(), 0)


def test_what_it_must_not(cold):
    needs_root("has something to give up")
    if os.environ.get("UBPFFS_SAN"):
        pytest.skip("a sanitizer comes before all other libraries")
    tried = os.path.join(cold.base, "tried")
    cold.environment = {"UBPFFS_TRY": tried, "LD_PRELOAD": os.path.join(BUILD, "tests", "try_calls.so")}
    cold.start("keeper=on")  # which reads by readv
    open(tried, "w").close()
    os.stat(cold.p("version"))

    def results():
        os.listdir(cold.path)  # another request
        with open(tried) as f:
            return dict(line.split() for line in f)

    wait_for(lambda: "end" in results(), "the calls to be tried")
    refused = {name: int(err) for name, err in results().items() if name != "end"}
    assert len(refused) == 8 and set(refused.values()) <= {errno.EPERM, errno.ENOSYS}, refused
