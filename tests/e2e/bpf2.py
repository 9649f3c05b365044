"""
What the tests of `ubpfctl run` share: a command under it, and bpf(2) by its bytes for scripts that run there and, where
root may, on the running kernel.
"""
import json
import os
import shutil
import subprocess

import pytest

from conftest import BUILD, WAIT, as_user

BPFTOOL = shutil.which("bpftool")
CTL = os.path.join(BUILD, "ubpfctl")
PYTHON = "/usr/bin/python3"


def under_run(m, *argv, user=None, verbose=False, **kwargs):
    return subprocess.run([CTL, "run", *(["-v"] if verbose else []), "-m", m.path, "--", *argv], capture_output=True,
                          text=True, timeout=WAIT, cwd="/", **as_user(m.user if user is None else user), **kwargs)


def tool(m, *args, user=None):
    return under_run(m, BPFTOOL, *args, user=user)


def can_run(m):
    r = under_run(m, "true")
    if r.returncode == 126 and "answered" in r.stderr:
        pytest.skip("no seccomp notifications here: " + r.stderr.strip())
    assert r.returncode == 0, r.stderr


def kernel_serves():
    """Does the running kernel answer bpf(2) for us?"""
    return not os.geteuid() and BPFTOOL and not subprocess.run([BPFTOOL, "map", "list"],
                                                               capture_output=True).returncode


# bpf(cmd, fields) -> (result or -errno, attr): `fields` are struct formats and values, laid out from offset 0.
PRELUDE = r"""
import ctypes, errno, json, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
NR = {"x86_64": 321}.get(os.uname().machine, 280)
keep = []

def buf(data, room=0):
    b = ctypes.create_string_buffer(bytes(data), max(len(data), room, 1))
    keep.append(b)
    return b

def ptr(b):
    return ctypes.addressof(b) if b is not None else 0

def bpf(cmd, fmt, *values, size=None):
    raw = struct.pack("<" + fmt, *values)
    attr = buf(raw, size or len(raw))
    ctypes.set_errno(0)
    r = libc.syscall(NR, cmd, attr, size or len(raw))
    return (r if r >= 0 else -ctypes.get_errno()), attr.raw

def name(r):
    return errno.errorcode.get(-r, str(r)) if r < 0 else "ok"

(MAP_CREATE, LOOKUP, UPDATE, DELETE, NEXT_KEY, PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_ATTACH, PROG_DETACH, TEST_RUN,
 PROG_NEXT_ID, MAP_NEXT_ID, PROG_BY_ID, MAP_BY_ID, INFO, QUERY, TRACEPOINT, BTF_LOAD, BTF_BY_ID, TASK_QUERY,
 LOOKUP_DELETE, FREEZE, BTF_NEXT_ID, LOOKUP_BATCH, LOOKUP_DELETE_BATCH, UPDATE_BATCH, DELETE_BATCH, LINK_CREATE,
 LINK_UPDATE, LINK_BY_ID, LINK_NEXT_ID, ENABLE_STATS, ITER_CREATE, LINK_DETACH, BIND_MAP) = range(36)

def map_create(type, key, value, entries, flags=0, title=b"t", btf=0, btf_key=0, btf_value=0):
    return bpf(MAP_CREATE, "IIIIIII16sIIII", type, key, value, entries, flags, 0, 0, title, 0, btf, btf_key, btf_value)[0]
"""


def script(m, text, user=None):
    """Run it under `run`; what it prints is JSON."""
    r = under_run(m, PYTHON, "-c", PRELUDE + text, user=user)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def kernel_script(text):
    """The same on the running kernel."""
    r = subprocess.run([PYTHON, "-c", PRELUDE + text], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def same_as_kernel(m, text, check):
    """What the script finds here is right, and what it finds on the running kernel, where that serves us."""
    can_run(m)
    ours = script(m, text)
    check(ours)
    if kernel_serves():
        assert ours == kernel_script(text)
