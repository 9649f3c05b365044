"""
What is there after a power loss (-o durable): the writes of a server are recorded, and whatever of them a disk may hold is served.
power_loss.py does it at length.
"""
import os
import shutil

import pytest

import power_loss
from conftest import SLOW, Mount, fs_type, make_base

STATES = 30 // SLOW


def fast_parent():
    return "/dev/shm" if fs_type("/dev/shm") == "tmpfs" and os.access("/dev/shm", os.W_OK) else "/tmp"


@pytest.fixture(scope="module")
def mount():
    base, state = make_base("/tmp"), make_base(fast_parent())
    m = Mount(base, state)
    yield m
    m.take_away()
    shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module", params=["none", "close", "each"])
def losses(request, mount):
    return power_loss.Losses(mount, request.param)


def test_what_was_answered_is_there_when_nothing_else_is(losses):
    for place, _, _ in losses.job.steps[::SLOW]:
        losses.one(place, lambda i: False)


def test_any_part_of_what_was_under_way(losses):
    for seed in range(STATES):
        losses.random(seed)


@pytest.fixture
def recording(mount, request):
    """A server whose writes are recorded."""
    recorder = power_loss.Recorder(mount, request.param)
    yield recorder
    recorder.end()


def an_array(m):
    os.mkdir(m.p("maps/r"))
    for attr, value in ("type", "array"), ("key_size", "4"), ("value_size", "8"), ("max_entries", "600"):
        power_loss.put(m, "maps/r/" + attr, value)


@pytest.mark.parametrize("recording", ["none"], indirect=True)
def test_fsync_works_in_every_mode(recording):
    m = recording.m
    an_array(m)
    for path in "maps/r/map", "maps/r/entries/1":
        fd = os.open(m.p(path), os.O_RDWR)
        try:
            power_loss.put(m, "maps/r/entries/599", "%d\n" % fd)
            before = recording.place()
            os.fsync(fd)
        finally:
            os.close(fd)
        assert recording.barriers(before) == ["msync", "msync", "fsync"]
    fd = os.open(m.p("maps"), os.O_RDONLY)
    before = recording.place()
    os.fsync(fd)
    os.close(fd)
    assert recording.barriers(before) == ["syncfs"]


@pytest.mark.parametrize("recording, at_write, at_close", [("none", False, False), ("close", False, True), ("each", True, False)],
                         indirect=["recording"])
def test_when_a_value_is_written_out(recording, at_write, at_close):
    m = recording.m
    an_array(m)
    fd = os.open(m.p("maps/r/entries/1"), os.O_WRONLY)
    before = recording.place()
    os.write(fd, b"7\n")
    assert ("msync" in recording.barriers(before)) == at_write
    before = recording.place()
    os.close(fd)
    assert ("msync" in recording.barriers(before)) == at_close


@pytest.mark.parametrize("recording", ["none"], indirect=True)
def test_without_a_promise_nothing_is_written_out(recording):
    before = recording.place()
    power_loss.work(recording)
    assert not recording.barriers(before)
