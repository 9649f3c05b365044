"""Starting, mounting, ending: the server as a libfuse program."""
import errno
import fcntl
import os
import signal
import subprocess

import pytest

from conftest import SERVER, USERS, WAIT, as_user, detach, needs_root, wait_for


def run(*args, **kwargs):
    return subprocess.run([SERVER, *args], capture_output=True, text=True, timeout=WAIT, **kwargs)


def test_help_and_version():
    r = run("--help")
    assert r.returncode == 0 and "state=DIR" in r.stdout and "trust_others" in r.stdout
    r = run("-V")
    assert r.returncode == 0 and r.stdout.startswith("ubpffs ")


def test_no_mountpoint():
    r = run("-o", "state=/nonexistent")
    assert r.returncode != 0 and "usage" in r.stderr


def test_missing_mountpoint(cold):
    r = run("-f", "-o", "state=" + cold.state, "/nonexistent/m")
    assert r.returncode != 0 and r.stderr


def test_root_is_understandable(m):
    names = os.listdir(m.path)
    for name in ("README", "version", "features", "log", "metrics", "trace_pipe", "ctl", "ids", "progs", "maps"):
        assert name in names
    readme = m.read("README")
    for word in ("progs/new", "mkdir", "ln", "rm -r", "log"):
        assert word in readme
    for name in ("README", "version", "features", "metrics"):
        text = m.read(name)
        assert text.endswith("\n") and "\0" not in text
    features = m.read("features")
    assert "prog_type xdp: yes" in features and "map_type hash: yes" in features
    assert "helper map_lookup_elem: " in features
    assert "\nhelper kptr_xchg: no\n" in features  # Linux has it, this build has not


def test_every_text_line_is_name_and_value(m):
    m.load("count_ports")
    for name in ("metrics", "features", "progs/count_ports/info", "progs/count_ports/stats"):
        for line in m.read(name).splitlines():
            assert ":" in line, (name, line)


def test_ends_by_fusermount(m):
    subprocess.run(["fusermount3", "-u", m.path], check=True, timeout=WAIT)
    assert m.proc.wait(WAIT) == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ends_by_signal(m, sig):
    m.load("count_ports")
    m.proc.send_signal(sig)
    assert m.proc.wait(WAIT) == 0
    assert not m.mounted()


def test_ends_by_signal_with_waiting_reader(m):
    reader = subprocess.Popen(["cat", m.p("trace_pipe")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: m.metrics()["parked_requests"] == 1, "the reader to wait")
    m.proc.send_signal(signal.SIGTERM)
    assert m.proc.wait(WAIT) == 0
    reader.wait(WAIT)


def test_daemon(cold):
    """Without -f the command returns when the mount is usable, and says so by its exit."""
    r = run("-o", "state=" + cold.state, cold.path)
    assert r.returncode == 0, r.stderr
    assert cold.read("version")
    other = os.path.join(cold.base, "other")
    os.mkdir(other)
    again = run("-o", "state=" + cold.state, other)
    assert again.returncode != 0 and "another server" in again.stderr
    subprocess.run(["fusermount3", "-u", cold.path], check=True, timeout=WAIT)
    # The state is free when the server is gone.
    def free():
        fd = os.open(os.path.join(cold.state, "lock"), os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
    wait_for(free, "the server's end")


def test_mount_command(cold):
    """As mount(8) starts it for `mount -t fuse.ubpffs DIR M`: a source, the mount point, options of its own."""
    needs_root("mounts what fstab does not name")
    r = subprocess.run(["mount", "-t", "fuse", "-o", "nosuid,noauto", SERVER + "#" + cold.state, cold.path],
                       capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == 0, r.stderr
    assert cold.read("version")
    assert os.path.isdir(os.path.join(cold.state, "objects"))
    subprocess.run(["umount", cold.path], check=True, timeout=WAIT)


def test_one_server_a_state(m):
    other = os.path.join(m.base, "other")
    os.mkdir(other)
    r = run("-f", "-o", "state=" + m.state, other)
    assert r.returncode != 0 and "another server uses" in r.stderr
    assert m.read("version")


def test_state_must_be_private(cold):
    os.mkdir(cold.state, 0o755)
    os.chmod(cold.state, 0o755)
    r = run("-f", "-o", "state=" + cold.state, cold.path)
    assert r.returncode != 0 and "yours alone" in r.stderr
    os.chmod(cold.state, 0o700)
    needs_root("gives a directory away")
    os.chown(cold.state, USERS[0], USERS[0])
    r = run("-f", "-o", "state=" + cold.state, cold.path)
    assert r.returncode != 0 and "yours alone" in r.stderr


def test_state_is_private(m):
    st = os.stat(m.state)
    assert st.st_mode & 0o777 == 0o700


def test_stale_mount_is_taken_over(m):
    m.load("count_ports")
    m.expect("taking away the mount")
    m.kill()
    with pytest.raises(OSError) as e:
        os.listdir(m.path)
    assert e.value.errno == errno.ENOTCONN
    m.start()
    assert "count_ports" in m.names()[0]


def test_a_live_mount_point_is_refused(m):
    """Of the same state or another, by the path, a link, or a bind mount: the first server is named, and goes on."""
    state = os.path.join(m.base, "second")
    os.symlink(m.path, os.path.join(m.base, "link"))
    points = [m.path, m.path + "/", os.path.join(m.base, "link")]
    bind = os.path.join(m.base, "a bind")
    os.mkdir(bind)
    bound = os.geteuid() == 0 and subprocess.run(["mount", "--bind", m.path, bind]).returncode == 0
    if bound:
        points.append(bind)
    try:
        for point in points:
            for s in state, m.state:
                r = run("-o", "state=" + s, point)
                assert r.returncode != 0 and "mounted there already" in r.stderr, r.stderr
                assert "process %d:" % m.proc.pid in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
        assert not os.path.exists(state)
        assert sum(" %s " % m.path in line for line in open("/proc/self/mountinfo")) == 1
        m.sh("mkdir $M/still")
    finally:
        if bound:
            detach(bind)


def test_anothers_live_mount_is_refused(user_mount):
    """Root may not even look into it."""
    needs_root("meets another user's mount")
    m = user_mount.start()
    r = run("-o", "state=" + os.path.join(m.base, "second"), m.path)
    assert r.returncode != 0 and "mounted there already" in r.stderr, r.stderr
    m.sh("mkdir $M/still")


def test_two_that_start_at_once(cold):
    """One has the mount point, the others say so."""
    servers = [subprocess.Popen([SERVER, "-o", "state=%s%d" % (cold.state, i), cold.path], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(4)]
    codes = [p.wait(WAIT) for p in servers]
    assert codes.count(0) == 1, codes
    assert sum(" %s " % cold.path in line for line in open("/proc/self/mountinfo")) == 1
    detach(cold.path)


def test_bad_arguments_make_nothing(cold):
    """One sentence each, before there is a state directory."""
    file = os.path.join(cold.base, "file")
    open(file, "w").close()
    for args, says in [((file,), "not a directory"),
                       (("-o", "nosuchoption", cold.path), "nosuchoption"),
                       ((cold.base, cold.path), "one mount point"),
                       ((cold.path, cold.path, cold.path), "too many arguments")]:
        state = [] if "one mount" in says else ["-o", "state=" + cold.state]
        r = run(*state, *args)
        assert r.returncode != 0 and says in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
        assert not os.path.exists(cold.state) and not cold.mounted()


def test_other_mounts_are_left_alone(cold):
    """A mount point that is used by something else is not unmounted: we mount on top, as libfuse does."""
    needs_root("mounts a tmpfs")
    subprocess.run(["mount", "-t", "tmpfs", "x", cold.path], check=True, timeout=WAIT)
    try:
        open(cold.p("mine"), "w").close()
        cold.start()
        cold.umount()
        assert os.path.exists(cold.p("mine"))
    finally:
        detach(cold.path)


def test_root_mount_is_for_everybody(m):
    needs_root("mounts for everybody unasked")
    assert m.out("cat $M/version", user=USERS[1])


def test_owner_only(cold):
    cold.start("owner_only")
    cold.fails("ls $M", "Permission denied", user=USERS[1])


def test_ordinary_user(user_mount):
    m = user_mount
    m.start()
    m.load("count_ports")
    assert m.out("cd $M; ls progs maps") == "maps:\nby_port\nby_proto\n\nprogs:\ncount_ports\nlog\nnew\n"
    m.sh("mkdir $M/mine; ln $M/progs/count_ports/prog $M/mine/; chmod 600 $M/mine/prog")
    assert m.sh("ls $M", user=USERS[1], check=False).returncode != 0
    m.kill()
    m.expect("taking away the mount")
    m.start()
    assert m.out("ls $M/mine") == "prog\n"
    m.sh("rm -r $M/progs/count_ports $M/mine")
    m.sh("! ls $M/progs/count_ports 2>/dev/null")


def test_ordinary_user_unreadable_bits(user_mount):
    """The bits are the client's: a map that its owner made read-only, or nothing at all, is there again."""
    m = user_mount.start()
    m.sh("""mkdir $M/maps/a; cd $M/maps/a; echo array > type; echo 4 > key_size; echo 4 > value_size
            echo 8 > max_entries; echo 5 > entries/1; chmod 400 map; mkdir $M/d; chmod 0 $M/d""")
    m.kill()
    m.expect("taking away the mount")
    m.start()
    assert m.out("cat $M/maps/a/entries/1") == "5\n"
    assert m.out("stat -c %a $M/maps/a/map $M/d") == "400\n0\n"


def test_ordinary_user_allow_other_needs_asking_twice(user_mount):
    m = user_mount
    r = subprocess.run(m.argv("allow_other"), capture_output=True, text=True, timeout=WAIT, **as_user(m.user))
    assert r.returncode != 0 and "trust_others" in r.stderr
    assert not m.mounted()


def test_default_state_directory(user_mount):
    m = user_mount
    run_dir = os.path.join(m.base, "run")
    os.mkdir(run_dir, 0o700)
    if os.geteuid() == 0:
        os.chown(run_dir, m.user, m.user)
    r = subprocess.run([SERVER, m.path], capture_output=True, text=True, timeout=WAIT,
                       env=dict(os.environ, XDG_RUNTIME_DIR=run_dir), **as_user(m.user))
    assert r.returncode == 0, r.stderr
    assert os.path.isdir(os.path.join(run_dir, "ubpffs", "objects"))
    subprocess.run(["fusermount3", "-u", m.path], check=True, timeout=WAIT)


def test_default_state_directory_without_runtime_directory(user_mount):
    """As after su, or in a container: /tmp/ubpffs-UID, when nobody else has made it."""
    m = user_mount
    path = "/tmp/ubpffs-%d" % m.user
    if os.path.isdir("/run/user/%d" % m.user) or os.path.lexists(path):
        pytest.skip("this user has a runtime directory, or a state in " + path)
    env = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"}

    def start():
        return subprocess.run([SERVER, m.path], capture_output=True, text=True, timeout=WAIT, env=env,
                              **as_user(m.user))
    try:
        os.symlink(m.base, path)
        assert "say -o state=DIR" in start().stderr
        os.unlink(path)
        r = start()
        assert r.returncode == 0, r.stderr
        assert os.path.isdir(path + "/objects")
        subprocess.run(["fusermount3", "-u", m.path], check=True, timeout=WAIT)
    finally:
        subprocess.run(["rm", "-rf", path], check=True)


def test_start_waits_for_the_server_before(m):
    """fusermount3 -u returns before the server has ended."""
    for _ in range(3):
        subprocess.run(["fusermount3", "-u", m.path], check=True, timeout=WAIT)
        r = subprocess.run([SERVER, "-o", "state=" + m.state, m.path], capture_output=True, text=True, timeout=WAIT)
        assert r.returncode == 0, r.stderr


def test_grep_and_cp_end(m):
    """Readers that may wait honour O_NONBLOCK and stand behind links: tools that read everything come to an end, and
    take nothing out of a queue."""
    m.load("count_ports")
    m.load("ringbuf")
    m.sh("mkdir $M/maps/q; cd $M/maps/q; echo queue > type; echo 4 > value_size; echo 3 > max_entries; echo 5 > push")
    m.sh("timeout 60 cp -r $M/progs $M/maps $M/trace_pipe $T/; test $? -ne 124; test -e $T/maps/q/dump && rm -rf $T/maps")
    m.sh("timeout 60 cp -a $M $T/copy; test $? -ne 124; rm -rf $T/copy")
    m.sh("timeout 60 grep -r nothing-like-this $M; test $? -ne 124; find $M >/dev/null; tar cf $T/tar -C $M .")
    assert "trace_pipe" in os.listdir(m.path) and ".trace_pipe" not in os.listdir(m.path)
    assert m.out("cat $M/maps/q/dump; cat $M/maps/q/pop") == "5\n5\n"
    fd = os.open(m.p("trace_pipe"), os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        os.read(fd, 100)
    os.close(fd)


def test_errno_of_unknown_ioctl_and_mmap(m):
    fd = os.open(m.p("README"), os.O_RDONLY)
    with pytest.raises(OSError) as e:
        fcntl.ioctl(fd, 0xbf01, b"")
    assert e.value.errno == errno.ENOTTY
    os.close(fd)
