"""
A moment of tests/fuzz/fuzz_bpf2.py: a command under `ubpfctl run` calls whatever bytes say, as root and as an ordinary user.
`make fuzz` does it for longer, and with a sanitized build it finds more.
"""
import os
import sys

from bpf2 import can_run
from conftest import ROOT, SLOW

sys.path.insert(0, os.path.join(ROOT, "tests", "fuzz"))
import fuzz_bpf2  # noqa: E402


def moment(m, seed):
    m.expect("cannot|could not|kept|broken|error")
    m.start()
    can_run(m)
    problem = fuzz_bpf2.fuzz(m, seed, 20 * SLOW, calls=400)
    assert not problem, "seed %d: %s" % (seed, problem)


def test_whatever_bytes(cold):
    moment(cold, 1)


def test_whatever_bytes_of_an_ordinary_user(user_mount):
    moment(user_mount, 2)
