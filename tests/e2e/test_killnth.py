"""Some of the kills at system calls of changes (killnth.py has the loop, and does them all)."""
import os
import shutil
import tempfile
import time

import pytest

import killnth
from conftest import Mount

pytestmark = pytest.mark.skipif(bool(os.environ.get("UBPFFS_SAN")), reason="a sanitizer has an allocator of its own")


@pytest.fixture
def base():
    path = tempfile.mkdtemp(prefix="ubpffs-killnth-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run(base, whom, sample, seconds=None, wanted=None, kind="none"):
    m = Mount(base, base)
    loop = killnth.Loop(m, os.path.join(base, "page"), sample, time.monotonic() + seconds if seconds else None)
    loop.page.kind = kind
    try:
        loop.run(whom, wanted)
    finally:
        m.take_away()
    assert not loop.problems, "\n".join(loop.problems)
    return loop.kills


@pytest.mark.parametrize("whom,seconds", [("server", 10), ("both", 6), ("keeper", 6)])
def test_changes(base, whom, seconds):
    """In any order: a loaded machine tries fewer."""
    assert run(base, whom, 3, seconds) > 0


def test_the_keeper_at_its_own_calls(base):
    """It makes some for a next server, and for an upgrade."""
    assert run(base, "keeper-itself", 5, wanted=["replacement", "upgrade"]) > 2


@pytest.mark.parametrize("change,sample", [("load ringbuf", 10), ("mv of a program", 0), ("cgroup", 0), ("event source", 0)])
def test_names(base, change, sample):
    """At calls that make or remove a name of the state: maps go with the last program, also in the middle."""
    assert run(base, "server", sample, wanted=[change], kind="name") > 1
