"""Maps as directories: attributes, entries, dump, raw, stats, and what happens at the edges."""
import os
import struct
import subprocess

import pytest

from conftest import USERS, WAIT, needs_root

HASH = "mkdir $M/maps/%s && cd $M/maps/%s && echo hash > type && echo %d > key_size && " \
       "echo %d > value_size && echo %d > max_entries"


def make(m, name="h", key=4, value=8, entries=16, **kwargs):
    return m.sh(HASH % (name, name, key, value, entries), **kwargs)


def array(m, name="a", value=8, entries=4, flags=None):
    m.sh("mkdir $M/maps/%s && cd $M/maps/%s && echo array > type && echo %d > value_size && %s echo %d > max_entries" %
         (name, name, value, "echo %s > map_flags &&" % flags if flags else "", entries))


def test_a_map_from_the_shell(m, shell):
    make(m, shell=shell)
    m.sh("cd $M/maps/h && echo 17 > entries/42 && printf 0x10 > entries/7", shell=shell)
    assert m.read("maps/h/entries/42") == "17\n"
    assert m.read("maps/h/entries/7") == "16\n"
    assert sorted(m.out("ls $M/maps/h/entries").split()) == ["42", "7"]
    assert sorted(m.read("maps/h/dump").splitlines()) == ["42 17", "7 16"]
    m.sh("rm $M/maps/h/entries/42", shell=shell)
    assert not os.path.exists(m.p("maps/h/entries/42"))
    info = m.info("maps/h/info")
    assert (info["type"], info["key_size"], info["value_size"], info["max_entries"]) == ("hash", "4", "8", "16")


def test_attributes_read_back_and_are_fixed_when_alive(m):
    m.sh("mkdir $M/maps/h")
    assert sorted(os.listdir(m.p("maps/h"))) == ["key_size", "map_flags", "max_entries", "type", "value_size"]
    assert m.read("maps/h/type") == ""
    m.sh("cd $M/maps/h && echo hash > type && echo 0x4 > key_size && echo 1 > map_flags")
    assert (m.read("maps/h/type"), m.read("maps/h/key_size"), m.read("maps/h/map_flags")) == ("hash\n", "4\n", "0x1\n")
    assert "map" not in os.listdir(m.p("maps/h"))
    m.sh("cd $M/maps/h && echo 5 > key_size && echo 4 > key_size && echo 8 > value_size && echo 10 > max_entries")
    assert "map" in os.listdir(m.p("maps/h"))
    r = m.fails("echo 5 > $M/maps/h/key_size", "Device or resource busy")
    assert "alive" in m.log()
    assert m.read("maps/h/key_size") == "4\n"


def test_the_object_file_is_listed_first(m):
    make(m)
    assert m.out("ls -U $M/maps/h").split()[0] == "map"


def test_truncation_alone_changes_nothing(m):
    make(m)
    m.sh("echo 5 > $M/maps/h/entries/1; : > $M/maps/h/entries/1; : > $M/maps/h/entries/2; : > $M/maps/h/dump")
    assert m.read("maps/h/dump") == "1 5\n"
    m.sh(": > $M/maps/h/type")


@pytest.mark.parametrize("attr,text,message", [
    ("type", "no_such_type", "Invalid argument"),
    ("type", "hash array", "Invalid argument"),
    ("type", "sockmap", "Operation not supported"),
    ("key_size", "-1", "Invalid argument"),
    ("key_size", "four", "Invalid argument"),
    ("max_entries", "4294967296", "Numerical result out of range"),
])
def test_bad_attributes(m, attr, text, message):
    m.sh("mkdir $M/maps/h")
    before = len(m.log().splitlines())
    m.fails("echo %s > $M/maps/h/%s" % (text, attr), message)
    assert m.read("maps/h/" + attr) in ("", "0x0\n")
    assert len(m.log().splitlines()) == before + 1


@pytest.mark.parametrize("key,value,entries,message", [
    (0, 8, 8, "Invalid argument"),
    (4, 0, 8, "Invalid argument"),
    (4, 8, 0, "Invalid argument"),
    (4, 4000000000, 8, "Argument list too long"),
])
def test_a_definition_that_no_map_has(m, key, value, entries, message):
    m.fails(HASH % ("h", "h", key, value, entries), message)
    # The bad attribute was not kept: the definition can be mended.
    m.sh("cd $M/maps/h && echo 4 > key_size && echo 8 > value_size && echo 8 > max_entries")
    assert "map" in os.listdir(m.p("maps/h"))


def test_full_map(m):
    make(m, entries=2)
    m.sh("cd $M/maps/h/entries && echo 1 > 1 && echo 2 > 2")
    m.fails("echo 3 > $M/maps/h/entries/3", "Argument list too long")
    assert "at most 2" in m.log()
    m.sh("echo 9 > $M/maps/h/entries/1")  # an update needs no room
    stats = m.info("maps/h/stats")
    assert (stats["entries"], stats["updates"], stats["failed_updates"]) == ("2", "3", "1")


def test_arrays(m):
    array(m)
    assert m.read("maps/a/dump") == "0 0\n1 0\n2 0\n3 0\n"
    m.sh("echo 5 > $M/maps/a/entries/2")
    assert m.read("maps/a/entries/2") == "5\n"
    m.fails("rm $M/maps/a/entries/2", "Invalid argument")
    m.fails("cat $M/maps/a/entries/4", "No such file")
    assert m.sh("echo 5 > $M/maps/a/entries/4", check=False).returncode != 0
    assert m.read("maps/a/entries/2") == "5\n"


def test_noclobber_is_noexist(m):
    make(m)
    m.sh("set -C; echo 1 > $M/maps/h/entries/1")
    m.fails("set -C; echo 2 > $M/maps/h/entries/1", "cannot overwrite existing file")
    fd = os.open(m.p("maps/h/entries/3"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert not os.path.exists(m.p("maps/h/entries/3"))  # creating writes nothing
    m.sh("echo 7 > $M/maps/h/entries/3")
    with pytest.raises(FileExistsError):
        os.write(fd, b"8")
    os.close(fd)
    assert m.read("maps/h/entries/3") == "7\n"


def test_split_writes(m):
    """A value that comes in pieces, two commands that share a redirection, an incomplete value."""
    make(m, value=8)
    make(m, "x", key=3, value=5)
    m.sh("printf '1234\\n' | dd of=$M/maps/h/entries/1 bs=1 2>/dev/null")
    assert m.read("maps/h/entries/1") == "1234\n"
    m.sh("{ echo 5; echo 6; } > $M/maps/h/entries/2")
    assert m.read("maps/h/entries/2") == "6\n"
    m.sh("printf '00 11 22 33 44' | dd of=$M/maps/x/entries/0a0b0c bs=2 2>/dev/null")
    assert m.read("maps/x/entries/0a0b0c") == "00 11 22 33 44\n"
    m.fails("(printf '00 11' ) | cat > $M/maps/x/entries/0a0b0c", "Invalid argument")
    assert "not complete" in m.log()
    assert m.read("maps/x/entries/0a0b0c") == "00 11 22 33 44\n"
    m.fails("echo 1 2 3 > $M/maps/x/entries/0a0b0c", "Invalid argument")
    m.fails("echo 1 > $M/maps/x/entries/0a0b", "Invalid argument")
    m.fails("echo 70000000000000000000000 > $M/maps/h/entries/1", "Numerical result")


def test_key_and_value_sizes(m):
    for size, key in ((1, "200"), (2, "60000"), (4, "4000000000"), (8, "18446744073709551615")):
        make(m, "k%d" % size, key=size, value=size)
        m.sh("echo %s > $M/maps/k%d/entries/%s" % (key, size, key))
        assert m.read("maps/k%d/dump" % size) == "%s %s\n" % (key, key)
    make(m, "k16", key=16, value=16)
    name = "000102030405060708090a0b0c0d0e0f"
    m.sh("echo %s > $M/maps/k16/entries/%s" % (name, name))
    assert os.listdir(m.p("maps/k16/entries")) == [name]
    assert m.read("maps/k16/entries", name) == " ".join(name[i:i + 2] for i in range(0, 32, 2)) + "\n"


def test_keys_that_are_too_long_for_names(m):
    make(m, key=200, value=4)
    key = "ab" * 200
    m.sh("echo %s 5 > $M/maps/h/dump" % key)
    assert os.listdir(m.p("maps/h/entries")) == []
    assert m.read("maps/h/dump") == key + " 5\n"


def test_dump_is_written_back(m):
    make(m, entries=5000)
    m.sh("for i in $(seq 3000); do echo $i $((i * 3)); done > $M/maps/h/dump")
    make(m, "h2", entries=5000)
    m.sh("cat $M/maps/h/dump > $T/f && cat $T/f > $M/maps/h2/dump && dd if=$T/f of=$M/maps/h/dump bs=7 2>/dev/null")
    lines = sorted(m.read("maps/h2/dump").splitlines())
    assert lines == sorted("%d %d" % (i, i * 3) for i in range(1, 3001))
    assert sorted(m.read("maps/h/dump").splitlines()) == lines
    assert len(os.listdir(m.p("maps/h2/entries"))) == 3000


@pytest.mark.parametrize("size", [512, 4096, 131072, 1000])
def test_a_large_percpu_dump_is_written_back(m, size):
    """A piece may end anywhere, also in the middle of "cpu0"."""
    for name in "a", "b":
        m.sh("cd $M/maps; mkdir %s; cd %s; echo percpu_hash > type; echo 4 > key_size; echo 8 > value_size;"
             " echo 20000 > max_entries" % (name, name))
    cpus = int(m.info("features")["slots"])
    with open(m.base + "/f", "w") as f:
        for key in range(9000):
            for cpu in range(cpus):
                f.write("%d cpu%d %d\n" % (key, cpu, key * 1000 + cpu))
    m.sh("dd if=$T/f of=$M/maps/a/dump bs=%d conv=notrunc status=none" % size)
    assert sorted(m.read("maps/a/dump").splitlines()) == sorted(open(m.base + "/f").read().splitlines())
    m.sh("cat $M/maps/a/dump > $T/g; cat $T/g > $M/maps/b/dump")
    assert sorted(m.read("maps/b/dump").splitlines()) == sorted(m.read("maps/a/dump").splitlines())


def test_a_bad_line_in_a_dump(m):
    make(m)
    m.fails("printf '1 1\\n2 x\\n3 3\\n' | cat > $M/maps/h/dump", "Invalid argument")
    assert m.read("maps/h/dump") == "1 1\n"
    m.fails("printf '1 1\\nzz 2\\n' | cat > $M/maps/h/dump", "Invalid argument")
    assert "zz" in m.log()
    m.fails("printf '5' | cat > $M/maps/h/dump", "Invalid argument")
    m.sh("printf '6 6' > $M/maps/h/dump")
    assert m.read("maps/h/entries/6") == "6\n"


def test_a_bad_line_is_named(m):
    make(m)
    for text, line, why in (
            ("# a comment\n\n1 1\n 2 x\n", "line 4 ( 2 x): ", "a number that fits into 8 bytes"),
            ("1 1\nzz 2\n", "line 2 (zz 2): ", "no key of this map"),
            ("5\n", "line 1 (5): ", "not complete")):
        m.fails("printf '%s' | cat > $M/maps/h/dump" % text, "Invalid argument")
        last = m.log().splitlines()[-1]
        assert line in last and why in last, last
    with open(m.base + "/f", "w") as f:
        f.writelines("%d %s\n" % (i, "x" if i == 3000 else i) for i in range(1, 5000))
    make(m, "large", entries=5000)
    m.fails("dd if=$T/f of=$M/maps/large/dump bs=64 status=none", "Invalid argument")
    assert "line 3000 (3000 x): " in m.log()
    m.fails("echo x > $M/maps/h/entries/7", "Invalid argument")
    assert "maps/h/entries/7: " in m.log()


def test_comments_and_empty_lines_in_a_dump(m):
    make(m)
    m.sh("printf '# from here\n\n  # indented\n1 10\n   \n2 20\n# no newline' | cat > $M/maps/h/dump")
    assert sorted(m.read("maps/h/dump").splitlines()) == ["1 10", "2 20"]
    m.sh("mkdir $M/maps/q; cd $M/maps/q; echo queue > type; echo 4 > value_size; echo 9 > max_entries")
    m.sh("printf '# one\n5\n# tw' > $M/maps/q/dump; (printf '# 7'; printf ' 8\n6\n') > $M/maps/q/dump")
    assert m.read("maps/q/dump") == "5\n6\n"


def test_prefixes_as_keys(m):
    for name, size in ("four", 8), ("six", 20), ("other", 12):
        m.sh("mkdir $M/maps/%s; cd $M/maps/%s; echo lpm_trie > type; echo 1 > map_flags; echo %d > key_size;"
             " echo 4 > value_size; echo 9 > max_entries" % (name, name, size))
    m.sh("cd $M/maps/four; echo 1 > entries/10.0.0.0_8; echo 10.1.2.0_24 2 > dump; echo 3 > entries/0.0.0.0_0")
    raw = open(m.p("maps/four/raw"), "rb").read()
    assert sorted(raw[i:i + 12] for i in range(0, 48, 16)) == sorted([
        b"\0\0\0\0\0\0\0\0\3\0\0\0", b"\x08\0\0\0\x0a\0\0\0\1\0\0\0", b"\x18\0\0\0\x0a\1\2\0\2\0\0\0"])
    assert m.read("maps/four/entries/10.1.2.0_24") == "2\n"
    m.sh("cd $M/maps/four; rm entries/10.0.0.0_8; test $(wc -l < dump) = 2")
    m.sh("cd $M/maps/six; echo 5 > entries/2001:db8::_32")
    assert m.read("maps/six/entries/2000000020010db8000000000000000000000000") == "5\n"
    for path in "four/entries/10.0.0.0_33", "four/entries/10.0.0.0_", "four/entries/10.0.0_8", "four/entries/::_8", \
            "other/entries/10.0.0.0_8", "six/entries/2001:db8::_129":
        m.fails("echo 1 > $M/maps/" + path, "Invalid argument")


def test_clear_empties_a_map(m):
    make(m, entries=5000)
    m.sh("for i in $(seq 3000); do echo $i $i; done > $M/maps/h/dump; echo clear > $M/maps/h/dump")
    assert m.read("maps/h/dump") == "" and m.info("maps/h/stats")["entries"] == "0"
    m.sh("printf '1 1\nclear\n2 2\ncl' | cat > $M/maps/h/dump || true")
    assert m.read("maps/h/dump") == "2 2\n"
    m.sh("printf clear > $M/maps/h/dump")
    assert m.read("maps/h/dump") == ""
    for type, attrs in ("queue", ""), ("array", "echo 4 > key_size;"):
        m.sh("mkdir $M/maps/%s; cd $M/maps/%s; echo %s > type; %s echo 4 > value_size; echo 2 > max_entries"
             % (type, type, type, attrs))
    m.sh("printf '1\n2\n' > $M/maps/queue/dump; echo clear > $M/maps/queue/dump")
    assert m.read("maps/queue/dump") == ""
    m.fails("echo clear > $M/maps/array/dump", "Invalid argument")
    assert "line 1 (clear): entries of array maps cannot be deleted" in m.log()


def test_a_dump_shows_what_lives_through_it_once(m):
    make(m, entries=3000)
    m.sh("for i in $(seq 2000); do echo $i 0; done > $M/maps/h/dump")
    writer = subprocess.Popen(["bash", "-c", "while :; do for i in $(seq 2000); do echo $i $RANDOM; done > $M/maps/h/dump; done"],
                              env=dict(os.environ, M=m.path))
    try:
        for _ in range(10):
            keys = [line.split()[0] for line in m.read("maps/h/dump").splitlines()]
            assert len(keys) == 2000 and len(set(keys)) == 2000
            names = os.listdir(m.p("maps/h/entries"))
            assert len(names) == 2000 and len(set(names)) == 2000
    finally:
        writer.kill()
        writer.wait(WAIT)


def test_raw_is_records(m):
    make(m, key=4, value=8)
    m.sh("echo 7 > $M/maps/h/entries/3")
    with open(m.p("maps/h/raw"), "rb") as f:
        assert f.read() == struct.pack("=IIQ", 3, 0, 7)
    array(m, value=12, entries=1000)
    m.sh("echo 00 01 02 03 04 05 06 07 08 09 0a 0b > $M/maps/a/entries/900")
    with open(m.p("maps/a/raw"), "rb", buffering=0) as f:
        record = struct.pack("=II12s4x", 900, 0, bytes(range(12)))
        assert os.pread(f.fileno(), 24, 900 * 24) == record  # at an index, forwards and back
        assert os.pread(f.fileno(), 4, 24) == struct.pack("=I", 1)
        assert os.pread(f.fileno(), 7, 900 * 24 + 5) == record[5:12]
        assert os.pread(f.fileno(), 100, 1000 * 24) == b""
    with open(m.p("maps/a/raw"), "rb") as f:
        assert len(f.read()) == 1000 * 24


def test_rm_r_of_a_map_that_is_held_deletes_no_element(m):
    make(m)
    m.sh("echo 5 > $M/maps/h/entries/1; mkdir $M/pins; ln $M/maps/h/map $M/pins/h; rm -r $M/maps/h")
    assert os.listdir(m.p("maps")) == []
    m.wait_live(0, 1)
    m.sh("ls -l $M/pins/h")
    with open(m.p("pins/h"), "rb"):
        m.sh("rm $M/pins/h")
        m.wait_live(0, 1)
    m.wait_live(0, 0)
    assert m.objects() == []


def test_rmdir_and_rm_of_unborn_maps(m):
    m.sh("mkdir $M/maps/a $M/maps/b && echo hash > $M/maps/b/type && rmdir $M/maps/a && rm -r $M/maps/b")
    assert os.listdir(m.p("maps")) == []
    assert m.objects() == []


def test_unlink_of_other_files_is_refused(m):
    make(m)
    for name in ("type", "dump", "info", "stats"):
        m.fails("rm -f $M/maps/h/" + name, "Operation not permitted")
    m.fails("touch $M/maps/h/new", "")
    m.fails("mkdir $M/maps/h/sub", "")


def test_rename(m):
    make(m)
    m.sh("echo 5 > $M/maps/h/entries/1; mv $M/maps/h $M/maps/g")
    assert m.names()[1] == ["g"]
    assert m.read("maps/g/entries/1") == "5\n"
    make(m)
    m.fails("mv -T $M/maps/g $M/maps/h", "")
    assert m.read("maps/g/entries/1") == "5\n"


def test_permission_bits(m):
    """What others may read and change follows the object's bits."""
    a, b = USERS
    make(m, user=a)
    m.sh("umask 077; echo 5 > $M/maps/h/entries/1", user=a)
    m.sh("chmod 600 $M/maps/h/map", user=a)
    m.fails("cat $M/maps/h/dump", "Permission denied", user=b)
    m.fails("echo 6 > $M/maps/h/entries/1", "Permission denied", user=b)
    m.fails("exec 3<>$M/maps/h/map", "Permission denied", user=b)
    m.sh("chmod 644 $M/maps/h/map", user=a)
    assert m.out("cat $M/maps/h/dump", user=b) == "1 5\n"
    m.fails("echo 6 > $M/maps/h/entries/1", "Permission denied", user=b)
    m.fails("rm -f $M/maps/h/entries/1", "Permission denied", user=b)
    m.fails("chmod 666 $M/maps/h/map", "Operation not permitted", user=b)
    m.fails("rm -r $M/maps/h", "", user=b)
    assert m.read("maps/h/dump") == "1 5\n"
    m.fails("cat $M/ids/map/$(sed -n 's/^id: //p' $M/maps/h/info) > /dev/null; exec 3>>$M/ids/map/$(sed -n 's/^id: //p' $M/maps/h/info)",
            "Permission denied", user=b)


def test_errors_are_the_callers_own(m):
    a, b = USERS
    m.fails("mkdir $M/maps/h && echo nonsense > $M/maps/h/type", "Invalid argument", user=a)
    assert "nonsense" in m.out("cat $M/log", user=a)
    assert "nonsense" not in m.out("cat $M/log", user=b)


def test_maps_survive_kill(m):
    make(m, entries=100)
    array(m, value=24)
    m.sh("mkdir $M/maps/half && echo hash > $M/maps/half/type && echo 4 > $M/maps/half/key_size")
    m.sh("for i in $(seq 50); do echo $i $i; done > $M/maps/h/dump; rm $M/maps/h/entries/7; "
         "echo %s > $M/maps/a/entries/1" % " ".join(["0f"] * 24))
    before = (sorted(m.read("maps/h/dump").splitlines()), m.read("maps/a/dump"), m.info("maps/h/info"))
    m.restart()
    assert (sorted(m.read("maps/h/dump").splitlines()), m.read("maps/a/dump"), m.info("maps/h/info")) == before
    m.sh("cd $M/maps/half && cat type key_size && echo 8 > value_size && echo 4 > max_entries && echo 1 > entries/1")
    m.sh("echo 1 > $M/maps/h/entries/7")


def test_two_writers(m):
    make(m, entries=4096)
    script = "for i in $(seq %d %d); do echo $i $i; done > $M/maps/h/dump"
    procs = [subprocess.Popen(["bash", "-c", script % (k * 1000, k * 1000 + 999)], env=dict(os.environ, M=m.path))
             for k in range(4)]
    assert [p.wait(WAIT) for p in procs] == [0, 0, 0, 0]
    assert sorted(map(int, os.listdir(m.p("maps/h/entries")))) == list(range(4000))


def test_cp_r_and_grep_r_end(m):
    make(m)
    m.sh("echo 5 > $M/maps/h/entries/1; timeout 20 grep -r '^1 5' $M/maps; timeout 20 cp -r $M/maps $T/copy")
    assert open(os.path.join(m.base, "copy/h/dump")).read() == "1 5\n"


def test_a_full_state_filesystem(cold):
    """No update is lost silently, and the server lives: a large array and a large table are holes until they are touched."""
    needs_root("mounts a small filesystem")
    parent = os.path.dirname(cold.state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "x", parent], check=True, timeout=WAIT)
    try:
        cold.start()
        for type, entries, keys, why in (
                ("array", 1000000000, range(0, 4096 * 512, 512), "No space left on device"),
                ("hash", 100000000, range(0, 300000 * 512, 512), "Cannot allocate memory")):
            cold.sh("cd $M/maps; mkdir m; cd m; echo %s > type; echo 4 > key_size; echo 8 > value_size; echo %d > max_entries"
                    % (type, entries))
            with open(cold.base + "/f", "w") as f:
                f.writelines("%d %d\n" % (key, key + 1) for key in keys)
            cold.fails("cat $T/f > $M/maps/m/dump", why)
            assert "filesystem of the state directory" in cold.log()
            assert cold.read("maps/m/entries/512") == "513\n"
            cold.sh("head -c 100000 $M/maps/m/dump > $T/g")
            cold.sh("rm -r $M/maps/m")
            cold.wait_live(0, 0)
        cold.sh("cd $M/maps; mkdir b; cd b; echo array > type; echo 4 > key_size; echo 8 > value_size;"
                " echo 100 > max_entries; echo 5 > entries/1")
        assert cold.read("maps/b/entries/1") == "5\n"
        cold.end()
    finally:
        subprocess.run(["umount", "-l", parent], timeout=WAIT)


@pytest.mark.parametrize("attrs, why", [
    ("lpm_trie key_size=8 value_size=4 max_entries=3", "map_flags must hold 1"),
    ("lpm_trie key_size=4 value_size=4 map_flags=1 max_entries=3", "key_size is 4 + "),
    ("ringbuf max_entries=5000", "power of two"),
    ("stack_trace value_size=1020 max_entries=3", "8 bytes"),
    ("hash key_size=0 value_size=4 max_entries=3", "key_size must not be 0"),
    ("hash key_size=4 value_size=0 max_entries=3", "value_size must not be 0"),
    ("queue value_size=4 max_entries=0", "max_entries must not be 0"),
    ("array key_size=8 value_size=4 max_entries=3", "key_size is 4"),
    ("hash key_size=4 value_size=4 map_flags=0x4000 max_entries=3", "map_flags are not"),
    ("cgroup_storage key_size=4 value_size=4", "8 or 16"),
    ("devmap value_size=5 max_entries=3", "value_size is 4 or 8"),
])
def test_why_a_definition_is_refused(m, attrs, why):
    kind, *rest = attrs.split()
    lines = ["mkdir $M/maps/x; cd $M/maps/x; echo %s > type" % kind]
    lines += ["echo %s > %s" % tuple(reversed(a.split("="))) for a in rest]
    m.fails("; ".join(lines), "Invalid argument")
    assert why in m.log().splitlines()[-1]
    m.sh("! test -e $M/maps/x/map")


def test_sentence_about_a_key(m):
    m.sh("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 6 > key_size; echo 4 > value_size; echo 2 > max_entries")
    m.fails("echo 1 > $M/maps/h/entries/12", "Invalid argument")
    assert "hexadecimal digits of 6 bytes" in m.log()
    m.sh("mkdir $M/maps/k; cd $M/maps/k; echo hash > type; echo 128 > key_size; echo 4 > value_size; echo 2 > max_entries")
    m.fails("echo 1 > $M/maps/k/entries/12", "Invalid argument")
    assert "use dump" in m.log()
