"""
-o strict: whose programs may not learn addresses. tests/verifier has the rules, and what Linux says to them.
"""
import ctypes
import os
import struct

import pytest

from conftest import USERS, needs_root

LEAK = "leaks addr into map"


@pytest.fixture
def root(cold):
    needs_root("serves several users")
    return cold


def refused(m, user):
    m.fails("cat $P/leaks.bpf.o > $M/progs/new", "Permission denied", user=user)
    assert LEAK in m.out("cat $M/progs/log", user=user)


def test_users_by_default(root):
    m = root.start()
    refused(m, USERS[0])
    m.load("count_ports", user=USERS[0])
    assert m.info("progs/count_ports/info")["strict"] == "1"
    assert "nospec" in m.read("progs/count_ports/xlated")
    if "jit: yes" in m.read("features"):
        assert m.info("progs/count_ports/info")["jited_bytes"] != "0"
    m.load("leaks")  # root's
    assert m.info("progs/leaks/info")["strict"] == "0"
    assert "nospec" not in m.read("progs/leaks/xlated")


def test_off(root):
    m = root.start("strict=off")
    m.load("leaks", user=USERS[0])
    assert m.info("progs/leaks/info")["strict"] == "0"


@pytest.mark.parametrize("option", ("strict=all", "strict"))
def test_all(root, option):
    m = root.start(option)
    refused(m, USERS[0])
    if option == "strict=all":
        refused(m, None)
    else:
        m.load("leaks")


def test_ones_own_server(cold):
    """Who runs the server may know where it lies, unless he says otherwise."""
    cold.start("strict=users")
    cold.load("leaks")
    cold.sh("rm -r $M/progs/leaks")
    cold.umount()
    cold.start("strict=all")
    cold.load("count_ports")
    assert cold.info("progs/count_ports/info")["strict"] == "1"
    refused(cold, None)


def test_native_code_is_not_its_owners(root):
    m = root.start()
    m.load("count_ports", user=USERS[0])
    m.fails("cat $M/progs/count_ports/jited", "Operation not permitted", user=USERS[0])
    assert "loaded strictly" in m.out("cat $M/log", user=USERS[0])
    m.sh("cat $M/progs/count_ports/jited $M/progs/count_ports/xlated > $T/code")
    m.sh("cat $M/progs/count_ports/xlated", user=USERS[0])


def test_a_start_keeps_how_it_was_loaded(root):
    m = root.start()
    m.load("count_ports", user=USERS[0])
    m.load("leaks")
    m.sh("ln $M/progs/leaks/prog $M/gift; chown %d $M/gift" % USERS[0])  # root's, given away
    m.restart()
    assert m.info("progs/count_ports/info")["strict"] == "1"
    assert m.info("progs/leaks/info")["strict"] == "0"
    m.kill()
    m.start("strict=off")
    assert m.info("progs/count_ports/info")["strict"] == "1"


def as_older_version(m, name):
    """The image as a server wrote it that did not know the mode; the checksum (xxh64) as well."""
    xxh64 = ctypes.CDLL("libxxhash.so.0").XXH64
    xxh64.argtypes, xxh64.restype = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64), ctypes.c_uint64
    path = os.path.join(m.state, "objects", m.info("progs", name, "info")["id"])
    m.kill()
    with open(path, "r+b") as f:
        image = bytearray(f.read())
        assert struct.unpack_from("=I", image, 16)[0] == 3
        struct.pack_into("=I", image, 16, 2)
        struct.pack_into("=Q", image, 8, xxh64(bytes(image[16:]), len(image) - 16, 0x676d6966667062))
        f.seek(0)
        f.write(image)


def test_images_of_older_versions_are_judged_by_their_owner(root):
    m = root.start("strict=off")
    m.expect("no longer accepted")
    m.load("leaks", user=USERS[0])
    as_older_version(m, "leaks")
    m.start()
    assert "no longer accepted" in m.info("progs/leaks/info")["broken"]
    m.kill()
    m.start("strict=off")  # nothing was lost
    assert m.info("progs/leaks/info")["strict"] == "0"
