"""The ioctls, through the mini client library and raw."""
import array as arr
import ctypes
import errno
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from conftest import BUILD, Mount, USERS, WAIT, detach, own_mounts, wait_for

HASH, ARRAY, PERCPU_ARRAY = 1, 2, 6
SOCKET_FILTER = 1
NOEXIST, EXIST = 1, 2


def insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("=BBhi", code, dst | src << 4, off, imm)


RETURN_7 = insn(0xb7, imm=7) + insn(0x95)
UNSAFE = insn(0x79, 0, 2) + insn(0x95)


@pytest.fixture
def lib(m):
    lib = ctypes.CDLL(os.path.join(BUILD, "libubpffs-client.so"), use_errno=True)
    assert lib.ubpfc_mount(m.path.encode()) == 0
    yield lib
    lib.ubpfc_mount(None)


def fails(err, value):
    assert value == -1 and ctypes.get_errno() == err, (value, errno.errorcode.get(ctypes.get_errno()))


def u32(v):
    return ctypes.byref(ctypes.c_uint32(v))


def u64(v):
    return ctypes.byref(ctypes.c_uint64(v))


def test_map_operations(m, lib):
    fd = lib.ubpfc_create_map(HASH, 4, 8, 3, 0)
    assert fd >= 0
    out = ctypes.c_uint64()
    fails(errno.ENOENT, lib.ubpfc_lookup_elem(fd, u32(1), ctypes.byref(out)))
    fails(errno.ENOENT, lib.ubpfc_update_elem(fd, u32(1), u64(5), EXIST))
    assert lib.ubpfc_update_elem(fd, u32(1), u64(5), NOEXIST) == 0
    fails(errno.EEXIST, lib.ubpfc_update_elem(fd, u32(1), u64(6), NOEXIST))
    fails(errno.EINVAL, lib.ubpfc_update_elem(fd, u32(1), u64(6), 77))
    assert lib.ubpfc_lookup_elem(fd, u32(1), ctypes.byref(out)) == 0 and out.value == 5
    assert lib.ubpfc_update_elem(fd, u32(2), u64(2), 0) == lib.ubpfc_update_elem(fd, u32(3), u64(3), 0) == 0
    fails(errno.E2BIG, lib.ubpfc_update_elem(fd, u32(4), u64(4), 0))
    seen, key = set(), ctypes.c_uint32()
    ret = lib.ubpfc_get_next_key(fd, None, ctypes.byref(key))
    while ret == 0:
        seen.add(key.value)
        ret = lib.ubpfc_get_next_key(fd, ctypes.byref(key), ctypes.byref(key))
    fails(errno.ENOENT, ret)
    assert seen == {1, 2, 3}
    assert lib.ubpfc_lookup_and_delete_elem(fd, u32(2), ctypes.byref(out)) == 0 and out.value == 2
    fails(errno.ENOENT, lib.ubpfc_delete_elem(fd, u32(2)))
    assert lib.ubpfc_freeze_map(fd) == 0
    fails(errno.EPERM, lib.ubpfc_update_elem(fd, u32(1), u64(1), 0))
    os.close(fd)
    m.wait_live(0, 0)


def test_create_errors(m, lib):
    fails(errno.EINVAL, lib.ubpfc_create_map(HASH, 0, 8, 3, 0))
    fails(errno.EINVAL, lib.ubpfc_create_map(ARRAY, 8, 8, 3, 0))
    fails(errno.EINVAL, lib.ubpfc_create_map(HASH, 4, 8, 0, 0))
    fails(errno.EOPNOTSUPP, lib.ubpfc_create_map(15, 4, 8, 1, 0))  # sockmap
    array = lib.ubpfc_create_map(ARRAY, 4, 8, 1, 0)
    fails(errno.EINVAL, lib.ubpfc_delete_elem(array, u32(0)))
    fails(errno.E2BIG, lib.ubpfc_update_elem(array, u32(1), u64(0), 0))
    fails(errno.EBADF, lib.ubpfc_delete_elem(999, u32(0)))
    os.close(array)


def test_batches(m, lib):
    n = 20000  # more than one ioctl carries
    fd = lib.ubpfc_create_map(HASH, 4, 8, n, 0)
    keys, values = (ctypes.c_uint32 * n)(*range(n)), (ctypes.c_uint64 * n)(*(k * k for k in range(n)))
    count = ctypes.c_uint32(n)
    assert lib.ubpfc_update_batch(fd, keys, values, ctypes.byref(count), ctypes.c_uint64(0)) == 0 and count.value == n
    got, cursor = {}, ctypes.c_uint64(0)
    while True:
        ks, vs, count = (ctypes.c_uint32 * 3000)(), (ctypes.c_uint64 * 3000)(), ctypes.c_uint32(3000)
        ret = lib.ubpfc_lookup_batch(fd, ctypes.byref(cursor), ks, vs, ctypes.byref(count))
        assert not set(ks[:count.value]) & set(got)
        got.update(zip(ks[:count.value], vs[:count.value]))
        if ret:
            fails(errno.ENOENT, ret)
            break
    assert got == {k: k * k for k in range(n)}
    count = ctypes.c_uint32(2)
    fails(errno.ENOENT, lib.ubpfc_delete_batch(fd, (ctypes.c_uint32 * 2)(5, n), ctypes.byref(count)))
    assert count.value == 1
    os.close(fd)


def test_elements_are_taken_out_of_hash_types_and_queues_alone(m, lib):
    """As the kernel's ENOTSUPP; a trie and an array have such keys, and keep them."""
    for kind, key_size, value_size, flags in (ARRAY, 4, 8, 0), (3, 4, 4, 0), (6, 4, 8, 0), (11, 8, 8, 1):
        fd = lib.ubpfc_create_map(kind, key_size, value_size, 4, flags)
        key, out = ctypes.create_string_buffer(8), (ctypes.c_uint64 * 1024)()
        if kind == 11:
            assert lib.ubpfc_update_elem(fd, key, out, 0) == 0
        fails(errno.EOPNOTSUPP, lib.ubpfc_lookup_and_delete_elem(fd, key, out))
        if kind == 11:
            assert lib.ubpfc_lookup_elem(fd, key, out) == 0
        os.close(fd)


def test_batches_without_keys(m, lib):
    """As bpf(2)'s ENOTSUPP; sizes of 0 are no reason to divide by them."""
    queue, ring = lib.ubpfc_create_map(22, 0, 8, 4, 0), lib.ubpfc_create_map(27, 0, 0, 4096, 0)
    for fd in queue, ring:
        one, cursor, room = ctypes.c_uint32(1), ctypes.c_uint64(0), (ctypes.c_uint64 * 8)()
        fails(errno.EOPNOTSUPP, lib.ubpfc_lookup_batch(fd, ctypes.byref(cursor), room, room, ctypes.byref(one)))
        fails(errno.EOPNOTSUPP, lib.ubpfc_update_batch(fd, room, room, ctypes.byref(one), ctypes.c_uint64(0)))
        fails(errno.EOPNOTSUPP, lib.ubpfc_delete_batch(fd, room, ctypes.byref(one)))
        assert one.value == 1
        os.close(fd)


def test_large_values(m, lib):
    size = 100000
    fd = lib.ubpfc_create_map(HASH, 4, size, 2, 0)
    data, out = os.urandom(size), ctypes.create_string_buffer(size)
    assert lib.ubpfc_update_elem(fd, u32(1), data, 0) == 0, os.strerror(ctypes.get_errno())
    assert lib.ubpfc_lookup_elem(fd, u32(1), out) == 0 and out.raw == data
    fails(errno.ENOENT, lib.ubpfc_lookup_elem(fd, u32(2), out))
    os.close(fd)


def test_programs(m, lib):
    fd = lib.ubpfc_prog_load(SOCKET_FILTER, RETURN_7, len(RETURN_7), b"GPL")
    assert fd >= 0
    retval, duration = ctypes.c_uint32(), ctypes.c_uint32()
    assert lib.ubpfc_prog_test_run(fd, 10, bytes(64), 64, None, None, ctypes.byref(retval), ctypes.byref(duration)) == 0
    assert retval.value == 7
    fails(errno.EINVAL, lib.ubpfc_prog_test_run(fd, 1, bytes(4), 4, None, None, None, None))
    out, size = ctypes.create_string_buffer(64), ctypes.c_uint32(64)
    packet = bytes(range(60))
    assert lib.ubpfc_prog_test_run(fd, 1, packet, 60, out, ctypes.byref(size), None, None) == 0
    assert out.raw[:size.value] == bytes(14) + packet[14:]  # a socket filter does not see the link header
    os.close(fd)
    m.wait_live(0, 0)


def test_rejected_programs(m, lib):
    fails(errno.EACCES, lib.ubpfc_prog_load(SOCKET_FILTER, UNSAFE, len(UNSAFE), b"GPL"))
    fails(errno.EINVAL, lib.ubpfc_prog_load(SOCKET_FILTER, RETURN_7, 12, b"GPL"))
    fails(errno.EINVAL, lib.ubpfc_prog_load(SOCKET_FILTER, RETURN_7, 0, b"GPL"))
    m.wait_live(0, 0)


def ld_map_fd(reg, fd):
    return insn(0x18, reg, 1, 0, fd) + insn(0)


def counting(fd):
    """*map[0] += 1 on an array, by a lookup."""
    return (insn(0x62, 10, 0, -4, 0) + insn(0xbf, 2, 10) + insn(0x07, 2, imm=-4) + ld_map_fd(1, fd) +
            insn(0x85, imm=1) + insn(0x15, 0, 0, 2, 0) + insn(0xb7, 1, imm=1) + insn(0xdb, 0, 1) +
            insn(0xb7, 0, imm=0) + insn(0x95))


def test_programs_with_maps(m, lib):
    map_fd = lib.ubpfc_create_map(ARRAY, 4, 8, 1, 0)
    code = counting(map_fd)
    prog = lib.ubpfc_prog_load(SOCKET_FILTER, code, len(code), b"GPL")
    assert prog >= 0, os.strerror(ctypes.get_errno())
    assert lib.ubpfc_prog_test_run(prog, 1000, bytes(64), 64, None, None, None, None) == 0
    out = ctypes.c_uint64()
    assert lib.ubpfc_lookup_elem(map_fd, u32(0), ctypes.byref(out)) == 0 and out.value == 1000
    os.close(map_fd)
    m.wait_live(1, 1)  # the program holds the map
    bad = counting(prog)
    fails(errno.EINVAL, lib.ubpfc_prog_load(SOCKET_FILTER, bad, len(bad), b"GPL"))
    bad = counting(999)
    fails(errno.EBADF, lib.ubpfc_prog_load(SOCKET_FILTER, bad, len(bad), b"GPL"))
    os.close(prog)
    m.wait_live(0, 0)


def test_pins_and_ids(m, lib):
    fd = lib.ubpfc_create_map(ARRAY, 4, 8, 1, 0)
    os.mkdir(m.p("app"))
    assert lib.ubpfc_obj_pin(fd, b"app/counter") == 0
    fails(errno.EEXIST, lib.ubpfc_obj_pin(fd, m.p("app/counter").encode()))
    fails(errno.EPERM, lib.ubpfc_obj_pin(fd, b"/etc/x"))
    fails(errno.EPERM, lib.ubpfc_obj_pin(fd, b"maps/x"))
    fails(errno.ENOENT, lib.ubpfc_obj_pin(fd, b"nowhere/x"))
    fails(errno.EINVAL, lib.ubpfc_obj_pin(fd, b"app/../x/.."))
    lib.ubpfc_update_elem(fd, u32(0), u64(9), 0)
    os.close(fd)
    m.wait_live(0, 1)
    fd = lib.ubpfc_obj_get(b"app/counter")
    out, map_id = ctypes.c_uint64(), ctypes.c_uint32()
    assert lib.ubpfc_lookup_elem(fd, u32(0), ctypes.byref(out)) == 0 and out.value == 9
    os.close(fd)
    assert lib.ubpfc_map_get_next_id(0, ctypes.byref(map_id)) == 0
    fd = lib.ubpfc_map_get_fd_by_id(map_id)
    assert lib.ubpfc_lookup_elem(fd, u32(0), ctypes.byref(out)) == 0 and out.value == 9
    fails(errno.ENOENT, lib.ubpfc_map_get_next_id(map_id, ctypes.byref(map_id)))
    os.close(fd)
    m.restart()
    assert lib.ubpfc_mount(m.path.encode()) == 0
    fd = lib.ubpfc_obj_get(b"app/counter")
    assert lib.ubpfc_lookup_elem(fd, u32(0), ctypes.byref(out)) == 0 and out.value == 9
    os.close(fd)


def test_a_passed_descriptor_works_after_the_name_is_gone(m, lib):
    m.sh("mkdir $M/maps/h && cd $M/maps/h && echo array > type && echo 8 > value_size && echo 1 > max_entries")
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        try:
            a.close()
            _, anc, _, _ = b.recvmsg(1, socket.CMSG_SPACE(4))
            fd = arr.array("i", anc[0][2])[0]
            if os.geteuid() == 0:
                os.setgid(USERS[1])
                os.setuid(USERS[1])
            ok = lib.ubpfc_update_elem(fd, u32(0), u64(77), 0) == 0
            b.send(b"1" if ok else b"0")
        finally:
            os._exit(0)
    b.close()
    fd = os.open(m.p("maps/h/map"), os.O_RDWR)
    m.sh("rm -r $M/maps/h")
    a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, arr.array("i", [fd]))])
    a.settimeout(WAIT)
    assert a.recv(1) == b"1"
    os.waitpid(child, 0)
    out = ctypes.c_uint64()
    assert lib.ubpfc_lookup_elem(fd, u32(0), ctypes.byref(out)) == 0 and out.value == 77
    os.close(fd)
    m.wait_live(0, 0)
    assert m.objects() == []


def test_access_mode_counts(m, lib):
    m.sh("mkdir $M/maps/h && cd $M/maps/h && echo array > type && echo 8 > value_size && echo 1 > max_entries")
    reader = os.open(m.p("maps/h/map"), os.O_RDONLY)
    writer = os.open(m.p("maps/h/map"), os.O_WRONLY)
    out = ctypes.c_uint64()
    assert lib.ubpfc_lookup_elem(reader, u32(0), ctypes.byref(out)) == 0
    fails(errno.EPERM, lib.ubpfc_update_elem(reader, u32(0), u64(1), 0))
    assert lib.ubpfc_update_elem(writer, u32(0), u64(1), 0) == 0
    fails(errno.EPERM, lib.ubpfc_lookup_elem(writer, u32(0), ctypes.byref(out)))
    os.close(reader)
    os.close(writer)


def ioc(nr, size, kind=0xbf):
    return 3 << 30 | size << 16 | kind << 8 | nr


def raw(fd, nr, header, payload=b"", room=0, kind=0xbf):
    """One command by hand; header: flags xfer cursor in_len out_len count id."""
    size = 40 + max(len(payload), room)
    buf = bytearray(struct.pack("=QQQIIII", *header).ljust(size, b"\0"))
    buf[40:40 + len(payload)] = payload
    fcntl.ioctl(fd, ioc(nr, size, kind), buf)
    return buf


def test_hostile_commands(m, lib):
    """Lengths that lie, commands on the wrong file, unknown numbers: an errno each, and the server lives."""
    fd = lib.ubpfc_create_map(HASH, 4, 8, 3, 0)
    ctl = os.open(m.p("ctl"), os.O_RDWR)
    K = struct.pack("=I", 1)

    def gives(err, *args, **kwargs):
        with pytest.raises(OSError) as e:
            raw(*args, **kwargs)
        assert e.value.errno == err, errno.errorcode[e.value.errno]

    gives(errno.EINVAL, fd, 1, (0, 0, 0, 4000, 8, 0, 0), K, 8)  # in_len beyond the buffer
    gives(errno.EINVAL, fd, 1, (0, 0, 0, 4, 4000, 0, 0), K, 8)  # out_len beyond the buffer
    gives(errno.EINVAL, fd, 1, (0, 0, 0, 3, 8, 0, 0), K, 8)  # half a key
    gives(errno.EINVAL, fd, 1, (0, 0, 0, 4, 4, 0, 0), K, 8)  # no room for the value
    gives(errno.ENOENT, fd, 1, (0, 99, 0, 4, 8, 0, 0))  # no such transfer
    gives(errno.ESTALE, fd, 1, (0, 0, 0, 4, 8, 0, 0xffffff), K, 8)  # another map
    gives(errno.EINVAL, fd, 7, (0, 0, 0, 0, 12, 4000000000, 0), b"", 12)  # a batch without room
    gives(errno.EINVAL, fd, 7, (0, 0, 12345, 0, 12, 1, 0), b"", 12)  # a cursor that nobody gave
    gives(errno.EINVAL, fd, 8, (0, 0, 0, 13, 0, 1, 0), bytes(13))
    gives(errno.EINVAL, fd, 48, (100, 7, 0, 4, 0, 0, 0), K)  # a transfer that begins with a hole
    gives(errno.ENOTTY, fd, 16, (0, 0, 0, 0, 0, 0, 0))  # a program's command
    gives(errno.ENOTTY, fd, 32, (0, 0, 0, 0, 0, 0, 0))
    gives(errno.ENOTTY, ctl, 1, (0, 0, 0, 4, 8, 0, 0), K, 8)
    gives(errno.ENOTTY, fd, 99, (0, 0, 0, 0, 0, 0, 0))
    gives(errno.ENOTTY, fd, 1, (0, 0, 0, 4, 8, 0, 0), K, 8, kind=0x12)
    gives(errno.EINVAL, ctl, 33, (0, 0, 0, 48, 16, 0, 0), bytes(48), 16)  # a load of nothing
    gives(errno.E2BIG, ctl, 33, (0, 0, 0, 48, 16, 0, 0), struct.pack("=8I16s", 1, 0, 0x7fffffff, 0, 1, 0, 0, 0, b""), 16)
    gives(errno.E2BIG, ctl, 32, (0, 0, 0, 300, 4, 0, 0), struct.pack("=4I", HASH, 4, 8, 3).ljust(299, b"\0") + b"x", 4)
    buf = raw(ctl, 32, (0, 0, 0, 300, 4, 0, 0), struct.pack("=4I", HASH, 4, 8, 3).ljust(300, b"\0"), 4)
    assert struct.unpack_from("=I", buf, 40)[0] > 0  # a longer attr whose tail is zero is taken
    for size in (0, 1, 39):
        with pytest.raises(OSError):
            fcntl.ioctl(fd, ioc(1, size), bytearray(max(size, 1)))
    os.close(ctl)
    os.close(fd)
    m.wait_live(0, 0)


def test_example(m):
    """examples/client.c: the library in C, with the log of a rejected program."""
    r = m.sh("UBPFFS_MOUNT=$M %s" % os.path.join(BUILD, "examples", "client"))
    assert r.stdout.startswith("protocol 1: 1\nprotocol 6: 3\nprotocol 17: 2\nthe unsafe one: Permission denied\n")
    assert "R0 invalid mem access 'map_value_or_null'" in r.stdout
    m.wait_live(0, 0)


def test_ubpfctl_shows_only_the_log_line_of_its_own_failure(m):
    ctl, progs = os.path.join(BUILD, "ubpfctl") + " -m $M ", os.path.join(BUILD, "tests/progs/")
    m.fails("cat %s > $M/progs/new" % (progs + "reject_null_check.bpf.o"), "Permission denied")
    r = m.sh(ctl + "flame nope", check=False)
    assert r.returncode == 1 and "nope" in r.stderr and "reject_null_check" not in r.stderr
    r = m.sh(ctl + "load " + progs + "refuse_type.bpf.o", check=False)
    assert r.returncode == 1 and "this build has no program type kprobe" in r.stderr.splitlines()[-1]


OTHERS = """awk '$3 == "fuse.ubpffs" { print $2 }' /proc/self/mounts | grep -v -x -e $M $KEEP | xargs -r -n1 umount -l;"""


def alone(script, keep=""):
    """The script in a mount namespace of its own, where no other ubpffs is mounted than $M and `keep`."""
    return "%s bash -c '%s'" % (" ".join(own_mounts()), (
        OTHERS.replace("$KEEP", "-e %s" % keep if keep else "") + script).replace("'", "'\\''"))


def test_the_client_takes_the_callers_own_mount(m):
    ctl = os.path.join(BUILD, "ubpfctl") + " "
    obj = os.path.join(BUILD, "tests/progs/count_ports.bpf.o")
    assert "count_ports" in m.out(alone(ctl + "load %s; " % obj + ctl + "list progs"))
    # Another user's server is named, never taken.
    as_other = "setpriv --reuid %d --regid %d --clear-groups " % (USERS[0], USERS[0])
    r = m.sh(alone(as_other + ctl + "load " + obj), check=False)
    assert r.returncode == 1 and "you have no ubpffs mounted" in r.stderr
    assert "%s (its server runs as uid 0)" % m.path in r.stderr
    if not m.sh(alone(as_other + "unshare -Ur true"), check=False).returncode:  # also to a root of his own
        r = m.sh(alone(as_other + "unshare -Ur " + ctl + "load " + obj), check=False)
        assert r.returncode == 1 and "you have no ubpffs mounted" in r.stderr
    r = m.sh(alone(as_other + ctl + "-m $M list progs"))
    assert "count_ports" in r.stdout
    # A failure on the mount names it.
    r = m.sh(alone(ctl + "load " + obj.replace("count_ports", "refuse_type")), check=False)
    assert r.returncode == 1 and m.path in r.stderr


def test_the_client_refuses_to_choose_among_several_mounts(cold, tmp_path):
    own_mounts()
    m, second = cold.start(), Mount(str(tmp_path), str(tmp_path))
    second.start()
    try:
        ctl = os.path.join(BUILD, "ubpfctl") + " "
        r = m.sh(alone(ctl + "list", second.path), check=False)
        assert r.returncode == 1 and "several" in r.stderr and m.path in r.stderr and second.path in r.stderr
        m.sh(alone("UBPFFS_MOUNT=%s " % second.path + ctl + "list", second.path))
    finally:
        second.end()


def test_who_runs_a_set_uid_program_does_not_choose_its_mount(m):
    """$UBPFFS_MOUNT is the caller's word, and the program has more rights than he."""
    program = os.path.join(m.base, "client")
    shutil.copy(os.path.join(BUILD, "examples", "client"), program)
    own_mounts()
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        pytest.skip("set-uid bits do nothing here")
    os.chmod(program, 0o4755)
    os.chmod(m.base, 0o755)
    r = m.sh(alone("setpriv --reuid %d --regid %d --clear-groups env UBPFFS_MOUNT=/proc %s" % (
        USERS[0], USERS[0], program)))
    assert r.stdout.startswith("protocol 1: 1\n")


def test_a_mount_point_with_a_blank(tmp_path):
    unshare = own_mounts()
    base = tmp_path / "a b"
    base.mkdir()
    m = Mount(str(base), str(base))
    m.path = str(base / "m n")
    os.mkdir(m.path)
    proc = subprocess.Popen(m.argv(), stdin=subprocess.DEVNULL, cwd="/")
    try:
        wait_for(lambda: os.path.exists(m.p("version")), "the mount")
        others = OTHERS.replace("-x -e $M $KEEP", "-F -e 'a\\\\040b'")
        subprocess.run([*unshare, "bash", "-c", others + os.path.join(BUILD, "ubpfctl") + " list"],
                       check=True, timeout=WAIT, cwd="/")
    finally:
        while detach(m.path):
            pass
        assert proc.wait(WAIT) == 0


def test_a_path_does_not_leave_the_mount(m, lib):
    fd = lib.ubpfc_create_map(HASH, 4, 8, 3, 0)
    os.mkdir(m.p("pins"))
    assert lib.ubpfc_obj_pin(fd, b"pins/a") == 0
    assert lib.ubpfc_obj_pin(fd, m.p("pins/b").encode()) == 0
    for path in b"pins/a", m.p("pins/b").encode(), b"pins/../pins/a":
        got = lib.ubpfc_obj_get(path)
        assert got >= 0, path
        os.close(got)
    os.symlink("/etc/passwd", m.p("pins/out"))
    for path, err in ((b"../passwd", errno.EXDEV), (b"pins/out", errno.EXDEV), (b"/etc/passwd", errno.EPERM),
                      (m.path.encode() + b"x/a", errno.EPERM), (b"pins/none", errno.ENOENT)):
        fails(err, lib.ubpfc_obj_get(path))
    fails(errno.EPERM, lib.ubpfc_obj_pin(fd, b"/etc/x"))
    fails(errno.EINVAL, lib.ubpfc_open(b"/etc/passwd", os.O_RDONLY))
    os.close(fd)


def test_threads_change_the_mount_and_pin(m, lib):
    """A pin takes its path from one mount, whatever another thread does to the library's choice."""
    fd = lib.ubpfc_create_map(HASH, 4, 8, 3, 0)
    os.mkdir(m.p("pins"))
    stop = threading.Event()

    def change():
        while not stop.is_set():
            assert lib.ubpfc_mount(m.path.encode()) == 0

    t = threading.Thread(target=change)
    t.start()
    try:
        for i in range(300):
            path = m.p("pins/%d" % i).encode()
            assert lib.ubpfc_obj_pin(fd, path) == 0
            got = lib.ubpfc_obj_get(path)
            assert got >= 0
            os.close(got)
    finally:
        stop.set()
        t.join()
    os.close(fd)


def test_every_symbol_has_our_prefix():
    """A program may link libbpf, too."""
    for args in ("-D", "libubpffs-client.so"), ("-g", "libubpffs-client.a"):
        out = subprocess.run(["nm", "--defined-only", args[0], os.path.join(BUILD, args[1])],
                             capture_output=True, text=True, check=True).stdout
        names = [line.split()[-1] for line in out.splitlines() if len(line.split()) == 3]
        names = [n for n in names if not n.startswith("UBPFFS_CLIENT")]
        assert len(names) > 25 and all(n.startswith("ubpfc_") for n in names), names


def test_attach_and_links(m, lib):
    INGRESS, EGRESS = 0, 1
    m.sh("cat $P/cgroup_verdicts.bpf.o > $M/progs/new; mkdir -p $M/cgroup/a/b $M/plain; cat $P/count_ports.bpf.o > $M/progs/new")
    allow, deny, other = (lib.ubpfc_obj_get(b"progs/%s/prog" % p) for p in (b"allow", b"deny", b"count_ports"))
    a, b, plain = (os.open(m.p(*d), os.O_RDONLY) for d in (("cgroup", "a"), ("cgroup", "a", "b"), ("plain",)))
    attached = lambda *cg: m.read("cgroup", *cg, "egress.attach").split("\n")[0]  # noqa: E731
    assert lib.ubpfc_prog_attach(allow, a, EGRESS, 1) == 0 and attached("a").startswith("allow")
    assert lib.ubpfc_prog_attach(deny, a, EGRESS, 1) == 0 and attached("a").startswith("deny")
    fails(errno.EINVAL, lib.ubpfc_prog_attach(deny, a, EGRESS, 4))
    fails(errno.EINVAL, lib.ubpfc_prog_attach(deny, a, 17, 0))
    fails(errno.EBADF, lib.ubpfc_prog_attach(deny, plain, EGRESS, 0))
    fails(errno.EBADF, lib.ubpfc_prog_attach(deny, -1, EGRESS, 0))
    fails(errno.EINVAL, lib.ubpfc_prog_attach(a, a, EGRESS, 0))
    fails(errno.EINVAL, lib.ubpfc_prog_attach(other, a, EGRESS, 0))
    assert lib.ubpfc_prog_detach(-1, a, EGRESS) == 0 and attached("a") == ""
    fails(errno.ENOENT, lib.ubpfc_prog_detach(deny, a, EGRESS))
    link = lib.ubpfc_link_create(allow, b, INGRESS)
    assert link >= 0 and lib.ubpfc_link_update(link, deny, allow) == 0
    fails(errno.EPERM, lib.ubpfc_link_update(link, allow, allow))
    assert lib.ubpfc_obj_pin(link, b"link") == 0 and lib.ubpfc_link_detach(link) == 0
    fails(errno.EBADF, lib.ubpfc_link_create(allow, plain, INGRESS))
    fd = lib.ubpfc_create_map(HASH, 4, 8, 3, 0)
    assert lib.ubpfc_prog_bind_map(allow, fd) == 0
    fails(errno.ENOTTY, lib.ubpfc_prog_bind_map(fd, fd))
    for f in (allow, deny, other, a, b, plain, link, fd):
        os.close(f)
