"""progs/new: an object in, whole or not at all; the verdict on the write that completes it."""
import errno
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import BUILD, PROGS, RENAME_EXCHANGE, ROOT, SERVER, USERS, WAIT, obj, rename2, wait_for

A, B = USERS


def write_new(m, pieces):
    """Write (offset, bytes) pieces on one open; returns the errno of each write and of the close."""
    fd = os.open(m.p("progs", "new"), os.O_WRONLY)
    results = []
    for off, data in pieces:
        try:
            results.append(os.pwrite(fd, data, off))
        except OSError as e:
            results.append(-e.errno)
    try:
        os.close(fd)
        results.append(0)
    except OSError as e:
        results.append(-e.errno)
    return results


LOADERS = {
    "cat": "cat $O > $M/progs/new",
    "cat_append": "cat $O >> $M/progs/new",
    "cp": "cp $O $M/progs/new",
    "dd_7": "dd if=$O of=$M/progs/new bs=7 status=none",
    "dd_notrunc": "dd if=$O of=$M/progs/new bs=1000 conv=notrunc status=none",
    "one_byte": "dd if=$O of=$M/progs/new bs=1 status=none",
    "tee": "tee $M/progs/new < $O > /dev/null",
    "two_commands": "{ head -c 100 $O; tail -c +101 $O; } | cat > $M/progs/new",
    "cp_p": "cp -p $O $M/progs/new",
    "install_like": "cp --no-preserve=all $O $M/progs/new",
    "sparse_cp": "cp --sparse=never $O $M/progs/new",
}


@pytest.mark.parametrize("user", [None, A])
@pytest.mark.parametrize("how", LOADERS)
def test_any_writer_accepted(m, shell, how, user):
    m.sh("O=$P/count_ports.bpf.o; " + LOADERS[how], shell=shell, user=user)
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])
    assert m.out("cat $M/progs/log", user=user).startswith("verdict: loaded\n")


@pytest.mark.parametrize("how", LOADERS)
def test_any_writer_rejected(m, shell, how):
    r = m.fails("set -e; O=$P/reject_null_check.bpf.o; " + LOADERS[how], "Permission denied", shell=shell)
    assert r.returncode != 0
    assert m.names() == ([], [])
    log = m.read("progs", "log")
    assert log.startswith("verdict: refused, EACCES")
    # One readable block: what, why, which instruction, which source line; then the full log.
    block = log[:log.index("log of reject_null_check")]
    for text in ("program: reject_null_check", "reason: R0 invalid mem access 'map_value_or_null'",
                 "instruction: 7:", "source: reject_null_check.bpf.c:18"):
        assert text in block
    assert "processed " in log
    assert "R0 invalid mem access" in m.log()
    m.wait_live(0, 0)
    assert m.objects() == []


@pytest.mark.parametrize("cut", [1, 63, 64, 65, 1000, -1])
def test_truncated(m, shell, cut):
    m.fails("head -c %d $P/count_ports.bpf.o > $T/cut; cat $T/cut > $M/progs/new" % cut, "Invalid argument",
            shell=shell)
    assert m.names() == ([], [])
    assert "incomplete" in m.read("progs", "log")
    assert "not complete" in m.log()
    m.wait_live(0, 0)


def test_at_offsets_in_any_order(m):
    data = obj("count_ports")
    step = 1000
    pieces = [(off, data[off:off + step]) for off in range(0, len(data), step)]
    assert write_new(m, reversed(pieces)) == [len(d) for _, d in reversed(pieces)] + [0]
    assert m.names()[0] == ["count_ports"]
    m.sh("rm -r $M/progs/count_ports")
    odd, even = pieces[1::2], pieces[0::2]
    assert write_new(m, odd + even)[-1] == 0
    assert m.names()[0] == ["count_ports"]


def test_hole_is_not_complete(m):
    data = obj("count_ports")
    assert write_new(m, [(0, data[:500]), (501, data[501:])])[-1] == -errno.EINVAL
    assert m.names() == ([], [])


def test_padding_is_ignored(m):
    data = obj("count_ports")
    assert write_new(m, [(0, data + b"\0" * 5000)]) == [len(data) + 5000, 0]
    m.sh("rm -r $M/progs/count_ports")
    assert write_new(m, [(0, data), (len(data), b"x" * 512)]) == [len(data), 512, 0]
    m.sh("rm -r $M/progs/count_ports")
    m.sh("dd if=$P/count_ports.bpf.o of=$M/progs/new bs=4096 conv=sync status=none")
    assert m.names()[0] == ["count_ports"]


def test_verdict_is_sticky(m):
    data = obj("reject_null_check")
    got = write_new(m, [(0, data), (len(data), b"more"), (0, data)])
    assert got == [-errno.EACCES, -errno.EACCES, -errno.EACCES, 0]
    # and does not leave the open
    m.load("count_ports")


def test_large_object_in_split_writes(m):
    """The kernel cuts writes at 1 MiB: an object with 3 MiB of data arrives in several."""
    data = bytearray(obj("count_ports"))
    # Move the section headers behind 3 MiB of padding: the end of the object is there.
    shoff = int.from_bytes(data[40:48], "little")
    count = int.from_bytes(data[60:62], "little")
    headers = data[shoff:shoff + 64 * count]
    data += b"\0" * (3 * 1024 * 1024 - len(data))
    data[40:48] = len(data).to_bytes(8, "little")
    data += headers
    with open(os.path.join(m.base, "big.o"), "wb") as f:
        f.write(data)
    m.sh("cat $T/big.o > $M/progs/new")
    assert m.names()[0] == ["count_ports"]


@pytest.mark.parametrize("data", [b"hello, world\n", b"\x7fELF\x01\x01\x01" + b"\0" * 60, b"#!/bin/sh\n"])
def test_not_an_object(m, data):
    assert write_new(m, [(0, data)])[0] == -errno.ENOEXEC
    assert "clang" in m.log() and "verdict: refused, ENOEXEC" in m.read("progs", "log")


def test_elf_of_this_machine(m):
    m.fails("cat /bin/true > $M/progs/new", "Exec format error")


def test_too_large(m):
    data = bytearray(obj("count_ports"))
    data[40:48] = (1 << 40).to_bytes(8, "little")
    assert write_new(m, [(0, bytes(data))])[0] == -errno.EFBIG
    assert write_new(m, [(100 << 20, b"x")])[0] == -errno.EFBIG


def test_truncation_changes_nothing(m, shell):
    m.load("count_ports")
    before = m.names(), m.objects(), m.metrics()["loads"]
    m.sh(": > $M/progs/new; : > $M/progs/count_ports/run; true > $M/maps/by_port/dump", shell=shell)
    os.truncate(m.p("progs", "new"), 0)
    assert (m.names(), m.objects(), m.metrics()["loads"]) == before


def test_shell_flushes_do_not_end_it(m, shell):
    """Two commands that share a redirection: the first one's exit flushes in the middle."""
    m.sh("{ head -c 777 $P/count_ports.bpf.o; tail -c +778 $P/count_ports.bpf.o; } > $M/progs/new 2>/dev/null || true",
         shell=shell)
    assert m.names()[0] == ["count_ports"]


def test_name_taken(m, shell):
    m.load("count_ports")
    ids = m.objects()
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "File exists", shell=shell)
    assert "exists" in m.log() or "taken" in m.log()
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])
    wait_for(lambda: m.objects() == ids, "the refused load's objects to go")
    m.wait_live(1, 2)


def test_all_or_nothing_over_several_names(m):
    """subprograms.bpf.c has several programs: when one name is taken none appears."""
    m.load("subprograms")
    names = m.names()
    progs = names[0]
    m.sh("mv $M/progs/%s $M/progs/kept; rm -r %s" % (progs[-1], " ".join("$M/progs/" + p for p in progs[:-1])))
    m.sh("mv $M/progs/kept $M/progs/%s; for m in $M/maps/*; do [ -e $m ] && rm -r $m; done; true" % progs[-1])
    m.fails("cat $P/subprograms.bpf.o > $M/progs/new", "File exists")
    assert m.names() == ([progs[-1]], [])
    assert "the name %s is taken" % progs[-1] in m.log()


def test_remove_and_load_again_loop(m, shell):
    m.sh("for i in 1 2 3 4 5 6 7 8 9 10; do cat $P/count_ports.bpf.o > $M/progs/new && rm -r $M/progs/count_ports || "
         "exit 1; done", shell=shell)
    assert m.names() == ([], [])
    m.wait_live(0, 0)
    assert m.objects() == []


def test_renames(m):
    m.load("count_ports")
    m.sh("mv $M/progs/count_ports $M/progs/y; mv $M/maps/by_port $M/maps/b")
    assert m.names() == (["y"], ["b", "by_proto"])
    m.load("count_ports", check=False)
    m.fails("mv $M/progs/y $M/progs/new", "")
    m.sh("mv $M/maps/by_proto $M/maps/c")
    m.load("count_ports")
    assert m.names() == (["count_ports", "y"], ["b", "by_port", "by_proto", "c"])
    # The first load's maps go with the first load's program.
    m.sh("rm -r $M/progs/y")
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])


def test_maps_stay_for_the_last_program(m):
    m.load("global_data")
    progs, maps = m.names()
    assert len(progs) == 3 and set(maps) >= {"global_data.rodata", "global_data.data", "global_data.bss"}
    for prog in progs[:-1]:
        m.sh("rm -r $M/progs/" + prog)
        assert m.names()[1] == maps
    m.sh("rm -r $M/progs/" + progs[-1])
    assert m.names() == ([], [])
    m.wait_live(0, 0)


def test_rmdir_drops_too(m):
    m.load("count_ports")
    m.sh("rmdir $M/progs/count_ports")
    assert m.names() == ([], [])
    m.wait_live(0, 0)


def test_rm_of_the_object_first(m):
    """rm -r in slow motion: unlinking the object drops the name; the rest reads as empty and unlinks silently."""
    m.load("count_ports")
    d = m.p("progs", "count_ports")
    os.unlink(os.path.join(d, "prog"))
    assert os.listdir(d) == []
    for name in ("info", "run", "xlated", "log"):
        os.unlink(os.path.join(d, name))
    m.wait_live(0, 0)
    m.load("count_ports")  # the name is free already
    assert "prog" in os.listdir(d)


def test_map_rm_r_never_deletes_elements(m):
    m.load("count_ports")
    m.sh("echo 1 7 > $M/maps/by_proto/dump; mkdir $M/app; ln $M/maps/by_proto/map $M/app/p")
    fd = os.open(m.p("app", "p"), os.O_RDWR)
    m.sh("rm -r $M/maps/by_proto")
    assert "by_proto" not in m.names()[1]
    m.sh("rm -r $M/progs/count_ports")
    m.wait_live(0, 1)
    os.close(fd)
    m.sh("rm $M/app/p")
    m.wait_live(0, 0)


# ---- the maps that a load named

def load_as(m, name):
    """Of count_ports' two maps one, both under another name."""
    m.load("count_ports")
    m.sh("rm -r $M/maps/by_port; mv $M/maps/by_proto $M/maps/%s; mv $M/progs/count_ports $M/progs/%s" % (name, name))


@pytest.mark.parametrize("again", [False, True], ids=["", "restart"])
def test_a_renamed_map_goes_with_its_program(m, again):
    m.load("count_ports")
    m.sh("mv $M/maps/by_proto $M/maps/a; mv $M/maps/a $M/maps/b")
    m.sh("mkdir $M/maps/by_proto $M/maps/a")  # others, in its old places
    if again:
        m.kill()
        m.start()
    m.sh("rm -r $M/progs/count_ports")
    assert m.names() == ([], ["a", "by_proto"])


@pytest.mark.parametrize("again", [False, True], ids=["", "restart"])
def test_maps_that_changed_places_go_each_with_its_program(m, again):
    load_as(m, "one")
    load_as(m, "two")
    m.sh("echo 1 2 > $M/maps/two/dump")
    rename2(m.p("maps", "one"), m.p("maps", "two"), RENAME_EXCHANGE)
    if again:
        m.kill()
        m.start()
    m.sh("rm -r $M/progs/one")
    assert m.names() == (["two"], ["one"])
    assert m.read("maps", "one", "entries", "1") == "2\n"
    m.sh("rm -r $M/progs/two")
    assert m.names() == ([], [])


def test_a_map_that_was_removed_leaves_its_name_to_others(m):
    m.load("count_ports")
    m.sh("mv $M/progs/count_ports $M/progs/one; rm -r $M/maps/*")
    m.load("count_ports")
    m.sh("rm -r $M/progs/one")
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])
    m.sh("rm -r $M/progs/count_ports")
    assert m.names() == ([], [])


# ---- binding to maps that exist

def test_pin_by_name_is_shared(m):
    m.load("shared_map_a")
    m.sh("echo 0 5 > $M/maps/shared/dump")
    m.load("shared_map_b")
    assert m.names()[1] == ["shared"]
    assert "existed before" in m.read("progs", "log")
    assert m.read("maps", "shared", "entries", "0") == "5\n"
    m.sh("rm -r $M/progs/shared_a; rm -r $M/progs/shared_b")
    assert m.names() == ([], ["shared"])  # pinned by name: it stays
    m.load("shared_map_a")
    assert m.read("maps", "shared", "entries", "0") == "5\n"


DEFINITION = "mkdir $M/maps/by_proto; cd $M/maps/by_proto; echo %s > type; echo %d > key_size; " \
             "echo %d > value_size; echo %d > max_entries"


def test_mkdir_map_is_bound(m, shell):
    m.sh(DEFINITION % ("array", 4, 8, 256) + "; echo 3 > entries/17", shell=shell)
    m.load("count_ports")
    assert m.read("maps", "by_proto", "entries", "17") == "3\n"
    m.sh("rm -r $M/progs/count_ports")
    assert m.names() == ([], ["by_proto"])


@pytest.mark.parametrize("definition,attribute", [
    (("hash", 4, 8, 256), "type"), (("array", 4, 16, 256), "value_size"), (("array", 4, 8, 255), "max_entries")])
def test_definitions_that_differ(m, definition, attribute):
    m.sh(DEFINITION % definition)
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "Invalid argument")
    assert "differs in " + attribute in m.log()
    assert "differs in " + attribute in m.read("progs", "log")
    assert m.names() == ([], ["by_proto"])


def test_unfinished_map_is_taken(m):
    m.sh("mkdir $M/maps/by_proto")
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "File exists")
    assert "not alive yet" in m.log()


def test_binding_needs_permission(m):
    m.sh("umask 077; " + DEFINITION % ("array", 4, 8, 256), user=A)
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "Permission denied", user=B)
    assert "do not let you" in m.out("cat $M/log", user=B)
    m.sh("chmod 755 $M/maps/by_proto; chmod 644 $M/maps/by_proto/map", user=A)
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "Permission denied", user=B)
    m.sh("chmod 666 $M/maps/by_proto/map", user=A)
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new", user=B)


def test_closed_directories(m):
    m.sh("chmod 755 $M/maps")
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "Permission denied", user=A)
    assert "maps/" in m.out("cat $M/log", user=A)
    m.sh("chmod 755 $M/progs")
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "ermission denied", user=A)
    m.load("count_ports")


# ---- more than one client

def test_two_clients_at_once(m):
    """Two loads whose writes interleave: each open is one object."""
    fds = [os.open(m.p("progs", "new"), os.O_WRONLY) for _ in range(2)]
    data = [obj("count_ports"), obj("shared_map_a")]
    for off in range(0, max(map(len, data)), 512):
        for fd, d in zip(fds, data):
            if off < len(d):
                os.write(fd, d[off:off + 512])
    for fd in fds:
        os.close(fd)
    assert m.names()[0] == ["count_ports", "shared_a"]


def test_many_loads_at_once(m):
    def worker(i, results):
        ok = 0
        for _ in range(10):
            r = m.sh("cat $P/count_ports.bpf.o > $M/progs/new", check=False)
            if r.returncode == 0:
                ok += 1
                # rm meets the next one's directory of the same name when it loads in the middle.
                m.sh("rm -r $M/progs/count_ports", check=False)
        results[i] = ok
    results = [None] * 4
    threads = [threading.Thread(target=worker, args=(i, results)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(WAIT * 5)
        assert not t.is_alive()
    assert None not in results and sum(results) > 0
    m.sh("rm -rf $M/progs/count_ports")
    m.wait_live(0, 0)
    assert m.objects() == []
    assert m.names() == ([], [])


def test_killed_client_leaves_nothing(m):
    client = subprocess.Popen(["bash", "-c", "{ head -c 1000 $P/count_ports.bpf.o; sleep 1000; } | cat > $M/progs/new"],
                              env=dict(os.environ, M=m.path, P=PROGS), start_new_session=True)
    wait_for(lambda: m.metrics()["open_files"] >= 2, "the client to open progs/new")
    time.sleep(0.1)
    os.killpg(client.pid, signal.SIGKILL)
    client.wait(WAIT)
    wait_for(lambda: m.metrics()["open_files"] == 1, "the open to go")  # the one that reads metrics
    assert m.names() == ([], [])
    m.wait_live(0, 0)
    assert m.objects() == []


def test_inherited_descriptor(m):
    """The last close discards: a descriptor passed to a child keeps what was written."""
    data = obj("count_ports")
    fd = os.open(m.p("progs", "new"), os.O_WRONLY)
    os.write(fd, data[:1000])
    pid = os.fork()
    if not pid:
        os.write(fd, data[1000:])
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)
    assert m.names()[0] == ["count_ports"]


def test_nonblocking_and_reading(m):
    fd = os.open(m.p("progs", "new"), os.O_WRONLY | os.O_NONBLOCK)
    data = obj("count_ports")
    assert os.write(fd, data) == len(data)
    os.close(fd)
    m.fails("cat $M/progs/new", "ermission denied", user=A)


def test_unlinked_names_in_progs(m):
    m.fails("touch $M/progs/x", "Operation not permitted")
    m.fails("mkdir -p $M/progs/x/y", "Operation not permitted")
    assert "writing an object to new" in m.log()


REFUSED = {"refuse_kconfig": "not supported", "refuse_kfunc": "not supported",
           "refuse_ksym": "not supported", "refuse_map_type": "not supported"}


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_is_said(m, name):
    """What this build lacks (ENOTSUP) is never confused with what is unsafe (EACCES)."""
    m.fails("cat $P/%s.bpf.o > $M/progs/new" % name, REFUSED[name])
    assert "ENOTSUP" in m.read("progs", "log") or "EOPNOTSUPP" in m.read("progs", "log")
    assert m.names() == ([], [])


def test_every_refusal_has_its_reason_in_one_form(m):
    for name, error, words in (
            ("refuse_kconfig", "not supported", "reason: extern 'CONFIG_NO_SUCH_THING' (__kconfig)"),
            ("refuse_type", "not supported", "program refuse_type: this build has no program type kprobe"),
            ("refuse_map_type", "not supported", "reason: map sockets: this build has no map type sockmap"),
            ("reject_kfunc", "Invalid argument", "reason: the kernel function 'no_such_kfunc'")):
        m.fails("cat $P/%s.bpf.o > $M/progs/new" % name, error)
        log = m.read("progs", "log")
        assert log.startswith("verdict: refused") and words in log, log
    m.fails("cat $P/refuse_type.bpf.o > $M/progs/new", "not supported")
    assert "\nhint: SEC(\"?...\") keeps a program out of the load" in m.read("progs", "log")


def test_type_stated_at_the_load(m):
    """A SEC() that says no type gets that of the line before the object; names that say one keep it."""
    obj = os.path.join(PROGS, "refuse_section.bpf.o")
    m.fails("cat %s > $M/progs/new" % obj, "not supported")
    assert "names no program type" in m.log() and "type TYPE" in m.log()
    for name, type in ("socket", "socket_filter"), ("sched_cls", "sched_cls"), ("cgroup_skb/egress", "cgroup_skb"):
        m.sh("(echo type %s; cat %s) > $M/progs/new" % (name, obj))
        assert m.info("progs", "free_filter", "info")["type"] == type
        assert m.info("progs", "named", "info")["type"] == "xdp"
        m.restart()
        assert m.info("progs", "free_filter", "info")["type"] == type
        m.sh("rm -r $M/progs/*")
    m.sh("%s -m $M load -t classifier %s" % (os.path.join(BUILD, "ubpfctl"), obj))
    assert m.info("progs", "free_filter", "info")["type"] == "sched_cls"
    m.sh("rm -r $M/progs/*")
    m.sh("(printf 'ty'; printf 'pe xd'; echo p; cat %s) > $M/progs/new" % obj)  # in pieces
    assert m.info("progs", "free_filter", "info")["type"] == "xdp"
    m.sh("rm -r $M/progs/*")
    for line, errno in ("type nothing", "Invalid argument"), ("type", "Exec format error"), \
            ("type xdp tc", "Invalid argument"), ("type " + "x" * 200, "Invalid argument"), \
            ("type kprobe", "not supported"), ("types", "Exec format error"):
        m.fails("(echo %s; cat %s) > $M/progs/new" % (line, obj), errno)
    m.fails("(echo type xdp; echo text) > $M/progs/new", "Exec format error")
    m.sh("printf 'type xdp' > $M/progs/new; echo type xdp > $M/progs/new", check=False)  # more must come
    assert m.log().count("is not complete") >= 2 and os.listdir(m.p("progs")) == ["new", "log"]


def test_what_is_no_object_is_told_apart(m):
    for file, words in (("/bin/ls", "no eBPF object"), (os.path.join(ROOT, "examples", "traffic.bpf.c"), "C source")):
        m.fails("cat %s > $M/progs/new" % file, "Exec format error")
        assert words in m.read("progs", "log"), m.read("progs", "log")


def test_a_wrong_file_of_types_is_said_at_the_start(tmp_path):
    for file, words in (("/nowhere", "No such file"), ("/etc/passwd", "neither BTF nor an ELF file")):
        done = subprocess.run([SERVER, "-o", "btf=" + file, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 1 and words in done.stderr, done.stderr


def test_inspection_files(m):
    m.load("count_ports")
    info = m.info("progs", "count_ports", "info")
    assert info["name"] == "count_ports" and info["type"] == "socket_filter" and int(info["insns"]) > 10
    assert len(info["map_ids"].split()) == 2
    xlated = m.read("progs", "count_ports", "xlated")
    assert "call bpf_map_lookup_elem#1" in xlated and "map[id:" in xlated and "exit" in xlated
    jited = m.read("progs", "count_ports", "jited")
    assert "55 48 89 e5" in jited or "interpreted" in jited
    assert "count_ports.bpf.c:" in xlated and ("count_ports.bpf.c:" in jited or "interpreted" in jited)
    assert "processed " in m.read("progs", "count_ports", "log")


# ---- waiting and ending

CLIENT = """
import os, signal, sys
data = open(sys.argv[1], "rb").read()
fd = os.open(sys.argv[2], os.O_WRONLY)
print("open", flush=True)
sys.stdin.readline()
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
try:
    n = os.write(fd, data)
except OSError:
    n = 0
signal.setitimer(signal.ITIMER_REAL, 0)
os.close(fd)
sys.exit(n != len(data))
"""


def slow_clients(m, n):
    """They begin to write together."""
    clients = [subprocess.Popen(["/usr/bin/python3", "-c", CLIENT, os.path.join(PROGS, "slow_load.bpf.o"),
                                 m.p("progs", "new")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for _ in range(n)]
    for p in clients:
        assert p.stdout.readline() == "open\n"
    for p in clients:
        p.stdin.close()
    return clients


def test_signals_do_not_stop_a_load(m):
    """A handled signal interrupts the write, but the load goes on and the write gets its verdict."""
    assert slow_clients(m, 1)[0].wait(WAIT * 3) == 0
    assert m.names()[0] == ["slow_load%d" % i for i in range(8)]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_client_stops_its_load(m, sig):
    with open(m.p("progs", "new"), "wb") as new:
        p = subprocess.Popen(["cat", os.path.join(PROGS, "slow_load.bpf.o")], stdout=new)
        m.wait_jobs()  # the write is in the server
        m.wait_busy(2)  # and the load has begun
        p.send_signal(sig)  # before we close: a close waits for the write that is in the server
        p.wait(WAIT)
    wait_for(lambda: "EINTR" in m.read("progs", "log") or m.names()[0], "the load's end")
    assert "EINTR" in m.read("progs", "log")
    assert m.names() == ([], [])
    m.wait_live(0, 0)
    assert m.objects() == []


def test_others_go_on_during_loads(m):
    """Loads are parked: while more of them run than there are workers, everything else answers."""
    clients = slow_clients(m, 6)
    m.wait_jobs()
    slowest = 0
    for _ in range(30):
        start = time.monotonic()
        m.read("version")
        os.listdir(m.p("maps"))
        slowest = max(slowest, time.monotonic() - start)
    assert slowest < WAIT / 2
    assert sorted(c.wait(WAIT * 10) for c in clients)[0] == 0  # one of them got the name
    assert m.names()[0] == ["slow_load%d" % i for i in range(8)]
