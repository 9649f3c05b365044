"""
A moment of tests/fuzz/fuzz_users.py: two users do at random what calls can do, a third one's things stay as they are.
`make fuzz` does it for longer, and with a sanitized build (make fuzz SAN=address,undefined) it finds more.
"""
import os
import sys

import pytest

from conftest import ROOT, SLOW, needs_root

sys.path.insert(0, os.path.join(ROOT, "tests", "fuzz"))
import fuzz_users  # noqa: E402


@pytest.mark.parametrize("seed", (1, 2))
def test_two_users(cold, seed):
    needs_root("acts as two users")
    cold.expect("cannot|could not|kept|broken|error")
    cold.start()
    problem = fuzz_users.fuzz(cold, seed, 30 * SLOW, calls=1000)
    assert not problem, "seed %d: %s" % (seed, problem)
