"""The user's own directories and pins; permission bits, owners and umask mean what they mean anywhere."""
import ctypes
import errno
import os
import shutil
import stat
import sys

import pytest

from conftest import RENAME_EXCHANGE, RENAME_NOREPLACE, USERS, libc, needs_root, rename2

A, B = USERS
AT_SYMLINK_FOLLOW = 0x400


@pytest.fixture
def loaded(m):
    m.load("count_ports")
    return m


def test_directories(m, shell):
    m.sh("cd $M; mkdir a a/b .hidden; mv a/b a/c; rmdir a/c; mkdir -p x/y/z; mv x a/x; ls -a", shell=shell)
    assert sorted(os.listdir(m.p("a"))) == ["x"]
    assert ".hidden" in os.listdir(m.path)
    m.fails("rmdir $M/a", "Directory not empty", shell=shell)
    m.fails("mkdir $M/a", "File exists", shell=shell)
    m.fails("mv $M/a $M/a/x/", "subdirectory of itself", shell=shell)
    m.sh("rm -r $M/a $M/.hidden", shell=shell)
    assert "a" not in os.listdir(m.path)


def test_own_names_stay(m):
    for name in ("README", "progs", "maps", "ids", "log", "trace_pipe", "ctl"):
        r = m.sh("rm -rf $M/%s" % name, check=False)
        assert r.returncode != 0
        assert name in os.listdir(m.path)
        m.fails("mv $M/%s $M/other" % name, "Operation not permitted")
    m.fails("mkdir $M/events", "")
    m.sh("mkdir $M/d")
    with pytest.raises(OSError) as e:
        rename2(m.p("d"), m.p("progs"), 0)
    assert e.value.errno in (errno.EPERM, errno.ENOTEMPTY)
    assert "filesystem's own" in m.log()


def test_plain_files_are_refused_with_a_sentence(m):
    m.sh("mkdir $M/d")
    m.fails("touch $M/d/x", "Operation not permitted")
    m.fails("echo x > $M/x", "Operation not permitted")
    m.fails("mkfifo $M/d/x", "Operation not permitted")
    assert "mkdir in maps/" in m.log()
    assert os.listdir(m.p("d")) == []


def test_pins(loaded):
    m = loaded
    m.sh("mkdir $M/app; ln $M/progs/count_ports/prog $M/app/x; ln $M/app/x $M/app/y; ln $M/maps/by_port/map $M/app/m")
    ino = {os.stat(m.p(*n)).st_ino for n in (("progs", "count_ports", "prog"), ("app", "x"), ("app", "y"))}
    assert len(ino) == 1
    assert os.stat(m.p("app", "x")).st_nlink == 4  # progs, two pins, ids
    m.sh("mv $M/app/y $M/app/x2")
    os.rename(m.p("app", "x2"), m.p("app", "x"))  # two names of one file: POSIX says nothing happens
    m.sh("rm $M/app/x2; rm -r $M/progs/count_ports")
    assert m.names() == ([], [])  # the names of the load went; the pins hold the objects
    m.wait_live(1, 2)
    m.sh("rm $M/app/x")
    m.wait_live(0, 1)  # by_proto had only the program
    m.sh("rm $M/app/m")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_only_objects_are_pinned(loaded):
    m = loaded
    m.sh("mkdir $M/app")
    for source in ("progs/count_ports/info", "README", "progs/new", "maps/by_port/type"):
        m.fails("ln $M/%s $M/app/x" % source, "Operation not permitted")
    m.fails("ln $M/progs/count_ports/prog $M/progs/x", "Operation not permitted")
    m.fails("ln $M/progs/count_ports/prog $M/maps/x", "Operation not permitted")
    m.fails("ln $M/progs/count_ports/prog $M/progs/count_ports/x", "Operation not permitted")
    m.fails("ln $M/progs/count_ports/prog /tmp/x", "Invalid cross-device link")
    assert "only an object can be pinned" in m.log()


def test_rename_over_a_pin_replaces(loaded):
    m = loaded
    m.load("shared_map_a")
    m.sh("mkdir $M/app; ln $M/progs/count_ports/prog $M/app/x; ln $M/progs/shared_a/prog $M/app/y")
    a, b = (os.stat(m.p("app", n)).st_ino for n in "xy")
    with pytest.raises(FileExistsError):
        rename2(m.p("app", "x"), m.p("app", "y"), RENAME_NOREPLACE)
    rename2(m.p("app", "x"), m.p("app", "y"), RENAME_EXCHANGE)
    assert [os.stat(m.p("app", n)).st_ino for n in "xy"] == [b, a]
    m.sh("rm -r $M/progs/count_ports $M/progs/shared_a")
    m.wait_live(2, 3)
    os.rename(m.p("app", "x"), m.p("app", "y"))
    m.wait_live(1, 1)  # shared_a and `shared`, which is pinned by name


def test_symlinks(loaded):
    m = loaded
    m.sh("mkdir $M/app; ln -s ../progs/count_ports $M/app/cur; ln -s nowhere $M/app/dead")
    assert m.out("readlink $M/app/cur") == "../progs/count_ports\n"
    assert "name: count_ports" in m.out("cat $M/app/cur/info")
    m.fails("cat $M/app/dead", "No such file")
    m.sh("mv $M/app/dead $M/app/d2; rm $M/app/d2 $M/app/cur")
    assert os.listdir(m.p("app")) == []


def test_synthesized_files_stay(loaded):
    m = loaded
    for name in ("progs/count_ports/info", "progs/count_ports/run", "maps/by_port/type", "maps/by_port/dump"):
        m.fails("rm -f $M/" + name, "Operation not permitted")
    m.fails("rmdir $M/maps/by_port/entries", "Operation not permitted")
    m.fails("touch $M/progs/count_ports/x", "Operation not permitted")
    m.fails("mkdir $M/progs/count_ports/x", "Operation not permitted")
    m.fails("mv $M/progs/count_ports $M/elsewhere", "Operation not permitted")
    assert m.names() == (["count_ports"], ["by_port", "by_proto"])


@pytest.mark.parametrize("user", [None, A])
def test_rm_of_everything_in_progs(m, user):
    """new and log are no reason to fail: they are there again, as they were, and so is what who has them open wrote."""
    if user:
        needs_root("acts as an ordinary user")
    m.load("count_ports", user=user)
    log = m.out("cat $M/progs/log", user=user)
    assert m.sh("exec 3> $M/progs/new; head -c 1000 $P/shared_map_a.bpf.o >&3; rm -r $M/progs/* 2>&1;"
                "tail -c +1001 $P/shared_map_a.bpf.o >&3", user=user).stdout == ""
    assert m.names()[0] == ["shared_a"] and sorted(os.listdir(m.p("progs"))) == ["log", "new", "shared_a"]
    assert log and m.out("rm $M/progs/log; cat $M/progs/log", user=user)
    m.sh("rm -r $M/progs/* && cat $P/count_ports.bpf.o > $M/progs/new", user=user)
    assert m.names()[0] == ["count_ports"]


MOVERS = {"mv": "mv %s %s", "busybox mv": "busybox mv %s %s", "shutil": "%s -c 'import shutil, sys;"
          "shutil.move(*sys.argv[1:])' %%s %%s" % sys.executable}


def test_a_map_that_was_moved_away_is_made_again(m):
    """mv to another filesystem is cp -r and rm -r: definition and contents are in what it leaves."""
    m.sh("""set -e; mkdir $M/maps/a; cd $M/maps/a; echo percpu_hash > type; echo 4 > key_size; echo 8 > value_size
         echo 0x1 > map_flags; echo 10 > max_entries; echo 5 > entries/1; echo 'cpu0 7' > entries/2; echo hex > keys; cat dump > $T/want
         mv $M/maps/a $T/away; test ! -e $M/maps/a; mkdir $M/maps/b; cd $M/maps/b
         for f in type key_size value_size map_flags max_entries keys; do cat $T/away/$f > $f; done
         cat $T/away/dump > dump; sort dump > $T/got; sort $T/want | cmp - $T/got""")
    m.wait_live(0, 1)


@pytest.mark.parametrize("how", MOVERS)
def test_a_pin_does_not_leave_the_mount(loaded, how):
    """Its bytes cannot be copied (EIO), so that who would copy and then remove it removes nothing."""
    m = loaded
    if how.startswith("busybox") and not shutil.which("busybox"):
        pytest.skip("busybox is missing")
    m.sh("mkdir $M/app; ln $M/progs/count_ports/prog $M/app/p; ln $M/maps/by_port/map $M/app/m")
    for name in "p", "m":
        m.fails(MOVERS[how] % ("$M/app/" + name, "$T/away"), "Input/output error")
    m.fails(MOVERS[how] % ("$M/app", "$T/dir"), "Input/output error")
    assert sorted(os.listdir(m.p("app"))) == ["m", "p"]
    assert "a pin has no bytes" in m.log()
    # Within the mount it moves, and is one file with the object's own, which reads as empty.
    m.sh("mv $M/app/p $M/app/q; ln $M/app/q $M/app/r; chmod 600 $M/app/r; test $M/app/q -ef $M/progs/count_ports/prog")
    assert m.out("cd $M; stat -c '%a %h %i' app/q app/r progs/count_ports/prog | uniq | wc -l") == "1\n"
    m.sh("cp -r $M/progs/count_ports $M/maps/by_port $T/ && cmp $M/progs/count_ports/info $T/count_ports/info")
    assert os.path.getsize(os.path.join(m.base, "by_port/map")) == 0


def test_object_is_listed_first(loaded):
    m = loaded
    assert m.out("ls -U $M/progs/count_ports").split()[0] == "prog"
    assert m.out("ls -U $M/maps/by_port").split()[0] == "map"


# ---- permissions

def test_umask_and_owner(m):
    m.sh("umask 027; mkdir $M/d; cat $P/count_ports.bpf.o > $M/progs/new", user=A)
    assert m.out("stat -c '%a %u %g' $M/d $M/progs/count_ports $M/progs/count_ports/prog $M/maps/by_port/map") == \
        "750 {0} {0}\n750 {0} {0}\n640 {0} {0}\n640 {0} {0}\n".format(A)
    m.sh("umask 077; cat $P/shared_map_a.bpf.o > $M/progs/new", user=A)
    assert m.out("stat -c %a $M/progs/shared_a/prog") == "600\n"


def test_other_user_is_kept_out(m):
    m.sh("umask 077; cat $P/count_ports.bpf.o > $M/progs/new; mkdir $M/priv; chmod 755 $M/progs/count_ports "
         "$M/maps/by_port; ln $M/progs/count_ports/prog $M/priv/x", user=A)
    for name in ("progs/count_ports/info", "progs/count_ports/xlated", "maps/by_port/dump", "maps/by_port/entries/1",
                 "priv/x", "ids/prog/*"):
        m.fails("cat $M/" + name, "Permission denied", user=B)
    m.fails("ls $M/maps/by_port/entries", "Permission denied", user=B)
    m.fails("echo 1 > $M/progs/count_ports/run", "ermission denied", user=B)
    m.fails("rm -r $M/progs/count_ports", "Permission denied", user=B)
    m.fails("mv $M/progs/count_ports $M/progs/mine", "Operation not permitted", user=B)
    m.fails("chmod 777 $M/progs/count_ports/prog", "Operation not permitted", user=B)
    m.fails("mv $M/priv $M/mine", "Operation not permitted", user=B)
    assert m.out("cat $M/progs/count_ports/info", user=A)


def test_reader_cannot_write(m):
    m.sh("umask 022; cat $P/count_ports.bpf.o > $M/progs/new", user=A)
    assert m.out("cat $M/progs/count_ports/info", user=B)
    m.fails("head -c 64 /dev/zero > $M/progs/count_ports/run", "ermission denied", user=B)
    m.fails("echo 1 1 > $M/maps/by_proto/dump", "ermission denied", user=B)
    m.fails("ln $M/progs/count_ports/prog $M/mine", "", user=B)  # protected_hardlinks, as on any filesystem
    fd = m.sh("exec 3< $M/maps/by_proto/map", user=B)
    assert fd.returncode == 0


def test_chmod_and_chown_are_kept(loaded):
    needs_root("gives files away")
    m = loaded
    m.sh("mkdir $M/d; chmod 2750 $M/d; chown %d:%d $M/d; chmod 640 $M/progs/count_ports/prog; "
         "chown %d:%d $M/progs/count_ports/prog" % (A, B, B, A))
    before = m.out("stat -c '%a %u %g' $M/d $M/progs/count_ports/prog $M/progs/count_ports/info "
                   "$M/progs/count_ports/run")
    assert before == "2750 %d %d\n640 %d %d\n440 %d %d\n640 %d %d\n" % (A, B, B, A, B, A, B, A)
    m.expect("taking away")
    m.restart()
    assert m.out("stat -c '%a %u %g' $M/d $M/progs/count_ports/prog $M/progs/count_ports/info "
                 "$M/progs/count_ports/run") == before


def test_bits_of_synthesized_files_follow(loaded):
    m = loaded
    m.sh("chmod 000 $M/maps/by_port/info; chown %d $M/maps/by_port/info" % (os.geteuid() or A))  # accepted, without effect
    assert stat.S_IMODE(os.stat(m.p("maps", "by_port", "info")).st_mode) == 0o444
    m.sh("chmod 606 $M/maps/by_port/map")
    assert stat.S_IMODE(os.stat(m.p("maps", "by_port", "info")).st_mode) == 0o404
    assert stat.S_IMODE(os.stat(m.p("maps", "by_port", "entries")).st_mode) == 0o707


def test_supplementary_groups(m):
    m.sh("umask 007; cat $P/count_ports.bpf.o > $M/progs/new", user=A)
    m.sh("chgrp -R 4242 $M/progs/count_ports 2>/dev/null; chgrp 4242 $M/progs/count_ports $M/progs/count_ports/prog")
    m.fails("cat $M/progs/count_ports/info", "Permission denied", user=B)
    assert m.out("cat $M/progs/count_ports/info", user=B, groups=[4242])


def test_setgid_directory(m):
    m.sh("mkdir $M/d; chgrp 4242 $M/d; chmod 2777 $M/d")
    m.sh("mkdir $M/d/sub; ln -s x $M/d/link", user=A)
    assert m.out("stat -c '%a %g' $M/d/sub") == "2755 4242\n"
    assert m.out("stat -c %g $M/d/link") == "4242\n"


def test_sticky_root(m):
    assert os.stat(m.path).st_mode & stat.S_ISVTX
    m.sh("mkdir $M/a", user=A)
    m.fails("rmdir $M/a", "Operation not permitted", user=B)
    m.sh("rmdir $M/a", user=A)


def test_two_users_work(m, shell):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new && mkdir $M/a && ln $M/progs/count_ports/prog $M/a/x", user=A,
         shell=shell)
    m.fails("cat $P/count_ports.bpf.o > $M/progs/new", "File exists", user=B, shell=shell)
    m.sh("cat $P/shared_map_a.bpf.o > $M/progs/new && mkdir $M/b && ln $M/progs/shared_a/prog $M/b/x", user=B,
         shell=shell)
    # Each sees its own errors and its own load.
    assert "EEXIST" in m.out("cat $M/log", user=B) and "EEXIST" not in m.out("cat $M/log", user=A)
    assert "progs/count_ports (id" in m.out("cat $M/progs/log", user=A)
    assert "progs/shared_a (id" in m.out("cat $M/progs/log", user=B)


# ---- names that go while somebody looks

def test_rm_while_open(loaded):
    m = loaded
    fd = os.open(m.p("maps", "by_port", "map"), os.O_RDWR)
    m.sh("rm -r $M/progs/count_ports")
    assert m.names() == ([], [])
    m.wait_live(0, 1)
    pinned = m.p("back")
    # Pinning a descriptor (Python's os.link does not follow /proc's link).
    assert libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100, pinned.encode(), AT_SYMLINK_FOLLOW) == 0
    os.close(fd)
    m.wait_live(0, 1)
    os.unlink(pinned)
    m.wait_live(0, 0)


def test_cwd_in_a_removed_directory(loaded):
    m = loaded
    m.sh("cd $M/progs/count_ports; rm -r $M/progs/count_ports; ls; cat info 2>/dev/null; true")
    m.sh("mkdir $M/d; cd $M/d; rmdir $M/d; ls; mkdir x 2>/dev/null; true")
    m.wait_live(0, 0)


def test_statfs(m):
    assert os.statvfs(m.path).f_namemax == 255


def test_deep_trees(m):
    """What is far down is found by what is open above it, also after that has moved."""
    levels = 600
    before = os.getcwd()
    try:
        os.mkdir(m.p("top"))
        os.chdir(m.p("top"))
        for _ in range(levels):
            os.mkdir("d")
            os.chdir("d")
        os.mkdir("x")
        os.symlink("y", "x/l")
        os.rename(m.p("top"), m.p("moved"))
        os.mkdir(m.p("top"))
        os.rename(m.p("moved", "d", "d"), m.p("top", "e"))
        for i in range(200):  # more than stay open
            os.mkdir(m.p("top", str(i)))
            os.mkdir(m.p("top", str(i), "z"))
        os.stat("x")
        assert os.readlink("x/l") == "y"
        os.rename("x/l", "l")
        assert sorted(os.listdir(".")) == ["l", "x"] and os.listdir("x") == []
        os.mkdir("x/x")
        os.rmdir("x/x")
    finally:
        os.chdir(before)
    assert os.listdir(m.p("moved", "d")) == []
    m.sh("rm -r $M/moved $M/top")


# ---- what was found by name stays right

def test_names_that_were_found_are_not_found_when_they_are_others(m):
    m.sh("cd $M; mkdir a a/x b; ln -s 1 a/l; ls -l a/x a/l b")
    ino = os.stat(m.p("a", "x")).st_ino
    os.rename(m.p("a", "x"), m.p("b", "y"))
    assert not os.path.exists(m.p("a", "x")) and os.stat(m.p("b", "y")).st_ino == ino
    os.mkdir(m.p("a", "x"))
    assert os.stat(m.p("a", "x")).st_ino != ino
    rename2(m.p("a", "x"), m.p("b", "y"), RENAME_EXCHANGE)
    assert os.stat(m.p("a", "x")).st_ino == ino != os.stat(m.p("b", "y")).st_ino
    os.rename(m.p("a"), m.p("c"))
    assert not os.path.exists(m.p("a")) and os.stat(m.p("c", "x")).st_ino == ino
    os.symlink("2", m.p("c", "new"))
    os.rename(m.p("c", "new"), m.p("c", "l"))
    assert os.readlink(m.p("c", "l")) == "2" and not os.path.lexists(m.p("c", "new"))
    os.rmdir(m.p("c", "x"))
    assert not os.path.exists(m.p("c", "x"))
    os.symlink("3", m.p("c", "x"))
    assert os.readlink(m.p("c", "x")) == "3"


def test_an_object_takes_the_place_of_one_that_was_dropped(loaded):
    """The directory that rm has not removed yet is empty: a load may have its name, and who knew it sees the new one."""
    d = loaded.p("progs", "count_ports")
    fd = os.open(d, os.O_RDONLY)
    old = os.fstat(fd).st_ino
    os.unlink(os.path.join(d, "prog"))
    assert os.listdir(d) == []
    loaded.load("count_ports")
    assert os.stat(d).st_ino != old and "prog" in os.listdir(d) and os.listdir(fd) == []
    os.close(fd)


def test_attributes_of_an_objects_directory_are_those_of_now(m):
    def attributes():
        st = os.stat(d)
        return stat.S_IMODE(st.st_mode), st.st_mtime_ns
    d = m.p("maps", "h")
    m.sh("mkdir $M/maps/h; ls -ld $M/maps/h")
    mode, mtime = attributes()
    os.chmod(d, 0o700)
    assert attributes() == (0o700, mtime)
    os.utime(d, ns=(5, 5))
    assert attributes() == (0o700, 5)
    m.sh("cd $M/maps/h; echo array > type; echo 4 > value_size; echo 1 > max_entries")
    m.sh("mv $M/maps/h $M/maps/g")  # the kernel believes a name's attributes for a second
    d = m.p("maps", "g")
    assert attributes()[1] > mtime
    m.kill()
    m.start()
    assert attributes()[0] == 0o700
