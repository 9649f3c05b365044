"""Starting, mounting, ending: the server as a libfuse program."""
import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from conftest import (BUILD, PROGS, ROOT, SERVER, USERS, WAIT, as_user, detach, fs_type, make_base, need_room, needs_root,
                      own_mounts, wait_for)


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
    for name in ("README", "version", "features", "log", "metrics", "status", "trace_pipe", "ctl", "ids", "progs", "maps"):
        assert name in names
    readme = m.read("README")
    for word in ("progs/new", "mkdir", "ln", "rm -r", "log"):
        assert word in readme
    for name in ("README", "version", "features", "metrics", "status"):
        text = m.read(name)
        assert text.endswith("\n") and "\0" not in text
    features = m.read("features")
    assert "prog_type xdp: yes" in features and "map_type hash: yes" in features
    assert "helper map_lookup_elem: " in features
    assert "\nhelper kptr_xchg: no\n" in features  # Linux has it, this build has not


def test_every_text_line_is_name_and_value(m):
    m.load("count_ports")
    for name in ("status", "features", "progs/count_ports/info", "progs/count_ports/stats"):
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
    m.wait_parked(1)
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
    wait_for(lambda: unlocked(cold.state), "the server's end")


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
    assert "process %d, mounted on %s" % (m.server(), m.path) in r.stderr and len(r.stderr.splitlines()) == 1
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
    assert r.returncode != 0 and "user %d's" % USERS[0] in r.stderr


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
                assert "process %d:" % m.server() in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
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
    """One sentence each, before there is a state directory, also where it was not named: options first, then the
    mount point, then the state."""
    file, link, home = (os.path.join(cold.base, name) for name in ("file", "link", "home"))
    open(file, "w").close()
    os.symlink(file, link)
    state = ("-o", "state=" + cold.state)
    for args, says in [((file,), "not a directory"), ((link,), "not a directory"), (("file",), "not a directory"),
                       ((os.path.join(cold.base, "none"),), "no such directory"), (("",), "no such directory"),
                       (("-o", "nosuchoption", cold.path), "nosuchoption"), (("-x", cold.path), "-x"),
                       (("-o", "enforce=maybe", cold.path), "enforce=maybe"),
                       (("-o", "btf=" + file + "x", cold.path), "No such file"),
                       (("-o", "owner_only,allow_other", cold.path), "exclude"),
                       (("-o", "nosuchoption", file), "nosuchoption"),
                       ((cold.base, cold.path), "one mount point"), (("m", cold.path), "one mount point"),
                       (("file", cold.path), "one mount point"), ((cold.path, file), "one mount point"),
                       ((cold.path, cold.path, cold.path), "too many arguments")]:
        if "exclude" in says and os.geteuid():
            continue
        for named in state, ():
            r = run(*named, *args, cwd=cold.base, env=dict(os.environ, HOME=home, XDG_STATE_HOME=home))
            assert r.returncode != 0 and says in r.stderr and len(r.stderr.splitlines()) == 1, (args, r.stderr)
            assert not os.path.exists(cold.state) and not os.path.exists(home) and not cold.mounted()
    assert "names no directory" in run("-o", "state=", cold.path).stderr and not cold.mounted()


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


class Home:
    """A user whose home, runtime directory and mount point are the test's own."""
    def __init__(self, m):
        self.m = m
        self.dir = os.path.join(m.base, "home")
        self.run = os.path.join(m.base, "run")
        self.state = os.path.join(self.dir, ".local/state/ubpffs")
        for d in self.dir, self.run:
            os.mkdir(d, 0o700)
            os.chown(d, m.user, m.user)
        self.env = {k: v for k, v in os.environ.items() if k != "XDG_STATE_HOME"}
        self.env.update(HOME=self.dir, XDG_RUNTIME_DIR=self.run)

    def start(self, *options, **env):
        return subprocess.run([SERVER, *options, self.m.path], capture_output=True, text=True, timeout=WAIT,
                              env=dict(self.env, **env), cwd="/", **as_user(self.m.user))

    def end(self):
        subprocess.run(["fusermount3", "-u", self.m.path], check=True, timeout=WAIT)


@pytest.fixture
def home(user_mount):
    return Home(user_mount)


def need_ordinary(m):
    if not m.user:
        pytest.skip("the places of an ordinary user")


def test_default_state_directory(home):
    need_ordinary(home.m)
    r = home.start()
    assert (r.returncode, r.stderr) == (0, "")
    home.m.load("count_ports")
    home.end()
    assert os.path.isdir(home.state + "/objects") and not os.listdir(home.run)
    assert os.stat(home.state).st_mode & 0o777 == 0o700
    home.start()
    assert "count_ports" in home.m.out("ls $M/progs")
    home.end()
    other = os.path.join(home.dir, "s")
    assert home.start(XDG_STATE_HOME=other).returncode == 0
    assert os.path.isdir(other + "/ubpffs/objects") and home.m.out("ls $M/progs") == "log\nnew\n"
    home.end()


def test_default_state_directory_of_root(cold):
    """With /var/lib and /run of a mount namespace's own; the old place is /run/ubpffs."""
    needs_root("has /var/lib")
    script = """set -e; mount -t tmpfs x /var/lib; mount -t tmpfs x /run; %s -o state=/run/ubpffs $M
                mkdir $M/kept; umount $M; until %s $M; do sleep 0.1; done; test -d $M/kept/; umount $M
                test -d /var/lib/ubpffs/objects; test ! -e /run/ubpffs"""
    r = subprocess.run([*own_mounts(), "bash", "-c", script % (SERVER, SERVER)], capture_output=True, text=True,
                       timeout=WAIT, env=dict(os.environ, M=cold.path), cwd="/")
    assert r.returncode == 0 and "is now /var/lib/ubpffs" in r.stderr, r.stderr


@pytest.mark.parametrize("where", ["same", "other"])
def test_an_old_state_is_taken_along(home, where):
    """Moved, also to another filesystem: names stay links of their objects, and the old place is empty."""
    need_ordinary(home.m)
    old = home.run
    if where == "other":
        if fs_type("/dev/shm") != "tmpfs" or fs_type("/tmp") == "tmpfs":
            pytest.skip("/tmp and /dev/shm are one kind of filesystem here")
        need_room("/dev/shm")
        old = make_base("/dev/shm")
        os.chown(old, home.m.user, home.m.user)
    try:
        assert home.start("-o", "state=" + old + "/ubpffs").returncode == 0
        home.m.load("count_ports")
        home.m.sh("mkdir $M/d; ln $M/maps/by_port/map $M/d/pin; echo $(seq 16 31) > $M/maps/by_port/entries/9")
        r = home.start(XDG_RUNTIME_DIR=old)
        assert r.returncode != 0 and "mounted there already" in r.stderr
        another = os.path.join(home.m.base, "another")
        os.mkdir(another)
        os.chown(another, home.m.user, home.m.user)
        r = subprocess.run([SERVER, another], capture_output=True, text=True, timeout=WAIT, cwd="/",
                           env=dict(home.env, XDG_RUNTIME_DIR=old), **as_user(home.m.user))
        assert r.returncode != 0 and "end that server first" in r.stderr
        home.end()
        wait_for(lambda: unlocked(old + "/ubpffs"), "the server's end")
        r = home.start(XDG_RUNTIME_DIR=old)
        assert r.returncode == 0 and "is now " + home.state in r.stderr, r.stderr
        assert os.listdir(old) == [] and os.listdir(os.path.dirname(home.state)) == ["ubpffs"]
        assert home.m.out("cat $M/maps/by_port/entries/9") == " ".join(map(str, range(16, 32))) + "\n"
        home.m.sh("test $M/d/pin -ef $M/maps/by_port/map; rm -r $M/progs/count_ports; ls $M/d/pin")
        home.end()
    finally:
        if old != home.run:
            shutil.rmtree(old)


def unlocked(state):
    """The state is free when the server is gone."""
    fd = os.open(os.path.join(state, "lock"), os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def test_no_home(home):
    """As for a system user: /tmp/ubpffs-UID, when nobody else has made it, and it is said that it does not stay."""
    need_ordinary(home.m)
    path = "/tmp/ubpffs-%d" % home.m.user
    if os.path.lexists(path):
        pytest.skip("this user has a state in " + path)
    try:
        os.symlink(home.m.base, path)
        assert "say -o state=DIR" in home.start(HOME="/proc/none").stderr
        os.unlink(path)
        r = home.start(HOME="/proc/none")
        assert r.returncode == 0 and "a reboot removes" in r.stderr, r.stderr
        assert os.path.isdir(path + "/objects")
        home.end()
    finally:
        subprocess.run(["rm", "-rf", path], check=True)


def test_state_that_is_removed(m):
    """Nothing of it looks like a store without objects; what says why can still be read."""
    m.load("count_ports")
    m.sh("mkdir $M/mine")
    m.expect("was removed")
    shutil.rmtree(m.state)
    for script in "ls $M", "ls $M/progs $M/maps", "cat $M/mine/x", "mkdir $M/maps/x", "cat $P/count_ports.bpf.o > $M/progs/new", \
            "ls $M/mine":
        r = m.sh(script, check=False)
        assert r.returncode and "Input/output error" in r.stderr, (script, r.stdout, r.stderr)
    assert "state directory %s was removed" % m.state in m.read("log")
    assert "was removed" in m.errors() and m.read("version")


def test_readme_session_twice(home):
    """What the README shows a newcomer, typed twice."""
    need_ordinary(home.m)
    with open(os.path.join(ROOT, "README.md")) as f:
        session = f.read().split("## A first session")[1].split("Programs also run by themselves")[0]
    lines = [line[6:] for line in session.splitlines() if line.startswith("    $ ")]
    assert len(lines) >= 15
    script = "set -x\n" + "\n".join(lines).replace("/tmp/bpf", home.m.path).replace("build/", BUILD + "/") \
        .replace("make && ", "")
    outs = []
    for _ in range(2):
        r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=WAIT * 3, cwd="/",
                           env=home.env, **as_user(home.m.user))
        bad = [line for line in r.stderr.splitlines() if not line.startswith("+")]
        assert len(bad) == 1 and bad[0].endswith("Permission denied"), r.stderr
        assert r.returncode == 0, r.stderr
        outs.append(re.sub(r"(duration_ns|id|instance): .*|took .*|\d+ usec", "", r.stdout))
        wait_for(lambda: not home.m.mounted() and unlocked(home.state), "the server's end")
    assert outs[0].splitlines()[:3] == outs[1].splitlines()[:3]


# ---- machines on which it cannot mount: one sentence, with what to do

def refused(m, command, says, user=None, options=()):
    """In a mount namespace of its own, after `command`."""
    drop = "setpriv --reuid %d --regid %d --clear-groups" % (user, user) if user else ""
    script = "%s && exec %s %s -f -o %s %s" % (command, drop, SERVER, ",".join(["state=" + m.state, *options]), m.path)
    r = subprocess.run([*own_mounts(), "sh", "-c", script], capture_output=True, text=True, timeout=WAIT, cwd="/")
    assert r.returncode != 0 and says in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
    assert not os.path.exists(m.state)


def test_no_dev_fuse(cold):
    refused(cold, "mount -t tmpfs x /dev", "--device /dev/fuse")


def test_dev_fuse_that_root_may_not_open(cold):
    """As in a container without the device's permission, or in a user namespace."""
    refused(cold, "mount -t tmpfs -o nodev x /dev && mknod -m 600 /dev/fuse c 10 229", "/dev/fuse may not be opened")


def test_root_that_may_not_mount(cold):
    needs_root("makes a root that may not mount")
    r = subprocess.run(["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", SERVER, "-f", "-o",
                        "state=" + cold.state, cold.path], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode != 0 and "--cap-add SYS_ADMIN" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr


def test_container_that_may_not_mount(user_mount):
    """Its fusermount3 is setuid root, and that root may not mount either."""
    needs_root("makes a container's bounding set")
    m = user_mount
    r = subprocess.run(["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--reuid", str(m.user), "--regid",
                        str(m.user), "--clear-groups", *m.argv()], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode != 0 and "--cap-add SYS_ADMIN" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
    assert not os.path.exists(m.state)


def test_no_new_privs(user_mount):
    m = user_mount
    r = subprocess.run(["setpriv", "--no-new-privs", *m.argv()], capture_output=True, text=True, timeout=WAIT,
                       **as_user(m.user))
    if m.user:
        assert r.returncode != 0 and "no_new_privs" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr


NO_MOUNT = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
ALLOW, EPERM = 0x7fff0000, 0x00050001
number = {"x86_64": 165, "aarch64": 40}[os.uname().machine]
rows = b"".join(struct.pack("<HBBI", *row) for row in
                [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, EPERM), (0x06, 0, 0, ALLOW)])
rows = ctypes.create_string_buffer(rows)
prog = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(rows)))
if libc.prctl(22, 2, prog, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_seccomp_without_mount(cold):
    """As in containers whose profile forbids it to root, too."""
    needs_root("has a filter of system calls without giving up privileges")
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the number of mount(2) is not known for " + os.uname().machine)
    r = subprocess.run([sys.executable, "-c", NO_MOUNT, *cold.argv()], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode != 0 and "seccomp=unconfined" in r.stderr.splitlines()[-1], r.stderr


def unshared(m, *options):
    r = subprocess.run(["unshare", *options, "true"], capture_output=True, text=True, cwd="/", **as_user(m.user))
    if r.returncode:
        pytest.skip("no user namespace can be made here: " + r.stderr.strip())
    return ["unshare", *options]


@pytest.mark.parametrize("options", ["-Ur", "-U", "-Um"])
def test_user_namespace_that_may_not_mount(user_mount, options):
    """Without mounts of its own, or without a root."""
    m = user_mount
    need_ordinary(m)
    r = subprocess.run(unshared(m, options) + m.argv(), capture_output=True, text=True, timeout=WAIT, cwd="/",
                       **as_user(m.user))
    assert r.returncode != 0 and "by unshare -Urm" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
    assert not os.path.exists(m.state)


def test_root_of_a_user_namespace(home):
    """The README's first lines under what those sentences name; the state is the user's."""
    m = home.m
    need_ordinary(m)
    for load in "cat $P/count_ports.bpf.o > $M/progs/new", "true":
        script = "%s $M && %s && ls $M/progs; umount $M" % (SERVER, load)
        r = subprocess.run(unshared(m, "-Urmpf", "--mount-proc") + ["sh", "-c", script], capture_output=True, text=True,
                           timeout=WAIT, env=dict(home.env, M=m.path, P=PROGS), cwd="/", **as_user(m.user))
        assert (r.stdout, r.stderr) == ("count_ports\nlog\nnew\n", "")
    assert os.path.isdir(home.state + "/objects")


def test_no_user_allow_other(user_mount):
    m = user_mount
    refused(m, "mount --bind /dev/null /etc/fuse.conf", "user_allow_other", user=m.user,
            options=("allow_other", "trust_others"))


def test_dev_fuse_that_users_may_not_open(user_mount):
    refused(user_mount, "mount -t tmpfs x /dev && mknod -m 600 /dev/fuse c 10 229", "chmod 666 /dev/fuse",
            user=user_mount.user)


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
    m.sh("timeout 60 grep -r nothing-like-this $M; test $? -ne 124; find $M >/dev/null")
    m.sh("tar cf $T/tar -C $M . || test $(id -u) != 0")  # only root may read progs/new
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
