"""
The end-to-end fixtures: a real server on a private mount, ended with all that it left, whatever the test did.

    def test_x(m):              m: a Mount; state on ext4 (or what holds /tmp) and on tmpfs, one run each
        m.sh("cat $P/count_ports.bpf.o > $M/progs/new")

UBPFFS_BUILD names the build directory (default: build). Every wait is bounded. A sanitizer's report in the server's
stderr, or a line with an error word that the test did not announce by m.expect(regex), fails the test.
"""
import atexit
import contextlib
import ctypes
import glob
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# An ordinary user's PATH has no bpftool and no nft, which he may run.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


# Where make has built.
BUILT = os.path.abspath(os.environ.get("UBPFFS_BUILD", os.path.join(ROOT, "build")))


def reachable_build():
    """
    The build directory; for root, whose tests also act as ordinary users, a copy of what they run and read when those
    cannot get there (a checkout in /root, or under a umask of 077).
    """
    build = BUILT
    if os.geteuid() or not subprocess.run(["test", "-r", os.path.join(build, "ubpffs")], user=USERS[0], cwd="/",
                                          group=USERS[0], extra_groups=[]).returncode:
        return build
    copy = tempfile.mkdtemp(prefix="ubpffs-build-")
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for what in "ubpffs", "ubpfctl", "libubpffs*", "examples/*", "tests/*.so", "tests/progs/*.bpf.o", "tests/e2e/*":
        for file in glob.glob(os.path.join(build, what)):
            if not os.path.isfile(file):
                continue
            to = os.path.join(copy, os.path.relpath(file, build))
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy(file, to)
    os.mkdir(os.path.join(copy, "modules"))
    for file in glob.glob(os.path.join(HERE, "*.py")):
        shutil.copy(file, os.path.join(copy, "modules"))
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    os.environ["UBPFFS_BUILD"] = copy  # for tests' own children, which import this file too
    return copy


# Two ordinary users (fusermount3 wants an account).
USERS = (pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("daemon").pw_uid)
BUILD = reachable_build()
# Modules of the tests for Python that runs as an ordinary user.
MODULES = HERE if BUILD == BUILT else os.path.join(BUILD, "modules")
SERVER = os.path.join(BUILD, "ubpffs")
PROGS = os.path.join(BUILD, "tests", "progs")
SLOW = 5 if os.environ.get("UBPFFS_SAN") else 1
WAIT = 20 * SLOW  # seconds for anything

BAD_WORDS = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehavior|runtime error:|SUMMARY:"
    r"|[Aa]ssert|[Ee]rror|[Ff]atal|corrupt|warning|cannot|could not|is refused|abort|Segmentation|broken|kept"
    r"|ended by signal|exited with"  # to the keeper
)

# What is ignored stays ignored in children (nohup does it, and a shell for what it puts in the background), and then
# these signals would end no server. A handler does not pass through exec.
for _sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_sig) == signal.SIG_IGN:
        signal.signal(_sig, lambda *_: None)

libc = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def rename2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), ctypes.c_uint(flags)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def die_with_us():
    """A run that is killed leaves no server and no mount: SIGTERM ends it in order."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def needs_root(what):
    if os.geteuid():
        pytest.skip("only root " + what)


def own_mounts():
    """unshare(1), to a mount namespace of its own. In a chroot whose root is no mount nothing can be made private."""
    needs_root("makes mount namespaces")
    r = subprocess.run(["unshare", "-m", "true"], capture_output=True, text=True)
    if r.returncode:
        pytest.skip("no mount namespace of its own can be made here: " + r.stderr.strip())
    return ["unshare", "-m"]


def as_user(user, groups=()):
    """What subprocess is told to run something as that user (None: as we are)."""
    if user is None or (user == os.geteuid() and not groups):
        return {}
    needs_root("runs commands as somebody else")
    return dict(user=user, group=user, extra_groups=list(groups))


def detach(path, flags=MNT_DETACH):
    """Unmount; an ordinary user has fusermount3 for it. True: it is gone."""
    if libc.umount2(path.encode(), flags) == 0:
        return True
    return os.geteuid() != 0 and subprocess.run(
        ["fusermount3", "-u", *(["-z"] if flags else []), path], capture_output=True).returncode == 0


def fs_type(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True).stdout.strip()


def wait_for(condition, what, seconds=WAIT):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("timed out waiting for " + what)
        time.sleep(0.01)


def stacks(pid):
    """What a process that hangs is doing."""
    text = ""
    if shutil.which("gdb"):
        try:
            text = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"],
                                  capture_output=True, text=True, timeout=30).stdout
        except subprocess.TimeoutExpired:
            pass
    return text[-8000:]


def holders(path):
    """Processes that see a mount there, which is gone from here: their namespaces are copies, and nothing propagates."""
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open("/proc/%s/mountinfo" % pid) as f:
            if any(line.split()[4] == path for line in f):
                pids.append(int(pid))
    return pids


class Mount:
    def __init__(self, base, state_parent, user=None):
        self.base = base
        self.path = os.path.join(base, "m")
        self.state = os.path.join(state_parent, "state")
        self.user = user
        self.options = []
        self.environment = {}  # of the server alone
        self.proc = None
        self.expected = []
        self.stderr = os.path.join(base, "stderr")
        os.mkdir(self.path)
        if user is not None and os.geteuid() == 0:
            os.chown(self.path, user, user)

    # ---- the server

    def argv(self, *options):
        opts = ",".join(["state=" + self.state] + list(self.options) + list(options))
        return [SERVER, "-f", "-o", opts, self.path]

    def start(self, *options, check=True):
        env = dict(os.environ, **self.environment)
        env.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        env.setdefault("TSAN_OPTIONS", "exitcode=99:die_after_fork=0:atexit_sleep_ms=50")
        if self.user is not None:
            env.pop("XDG_RUNTIME_DIR", None)
        self.proc = subprocess.Popen(self.argv(*options), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=open(self.stderr, "ab"), env=env,
                                     start_new_session=True, cwd="/", preexec_fn=die_with_us, **as_user(self.user))
        if not check:
            return self
        wait_for(lambda: self.proc.poll() is not None or self.serving(), "the mount")
        assert self.proc.poll() is None, self.errors()
        return self

    def mounted(self):
        """A mount of ours is there, dead or alive."""
        with open("/proc/self/mountinfo") as f:
            lines = [line.split() for line in f]
        return any(line[4] == self.path and "fuse.ubpffs" in line for line in lines)

    def serving(self):
        if self.user is not None:  # nobody else may ask
            return self.mounted() and subprocess.run(
                ["stat", self.p("version")], capture_output=True, timeout=WAIT,
                **as_user(self.user)).returncode == 0
        return os.path.exists(self.p("version"))

    def errors(self):
        try:
            with open(self.stderr, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def expect(self, regex):
        """The server's stderr may hold lines like this one."""
        self.expected.append(re.compile(regex))

    def bad_lines(self):
        return [line for line in self.errors().splitlines()
                if BAD_WORDS.search(line) and not any(e.search(line) for e in self.expected)]

    def server(self):
        """The process that serves: the one that we started, or its child, where that one is the keeper."""
        def is_named(pid, *names):
            with contextlib.suppress(OSError), open("/proc/%d/comm" % pid) as f:
                return f.read().strip() in names
        if not is_named(self.proc.pid, "ubpffs-keeper"):
            return self.proc.pid
        with open("/proc/%d/task/%d/children" % (self.proc.pid, self.proc.pid)) as f:
            return next(pid for pid in map(int, f.read().split()) if not is_named(pid, "ubpffs-keeper", "ubpffs-agent", "ubpffs-mounter"))

    def kill(self):
        """As by the kernel: no time for anything, also for the keeper. The mount is dead then."""
        server = None
        with contextlib.suppress(OSError, StopIteration):  # there is none
            server = os.pidfd_open(self.server())
        os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait(WAIT)
        self.proc = None
        if server is not None:
            assert select.select([server], [], [], WAIT)[0], "the server goes on"
            os.close(server)

    def take_away(self):
        """Whatever is there: the server is killed, and its mount taken away."""
        if self.proc and self.proc.poll() is None:
            self.kill()
        while self.mounted() and detach(self.path):
            pass

    def umount(self):
        """In order: the server ends by itself."""
        detach(self.path, 0)
        if self.mounted():
            raise AssertionError("the mount is busy")
        self.ended()

    def ended(self):
        """Nothing is left to serve: it ends by itself. Where another namespace has the mount still, it is told."""
        try:
            code = self.proc.wait(1)
        except subprocess.TimeoutExpired:
            if holders(self.path):
                self.proc.terminate()
            try:
                code = self.proc.wait(WAIT)
            except subprocess.TimeoutExpired:
                text = stacks(self.server())
                self.kill()
                raise AssertionError("the server does not end after umount:\n" + text) from None
        self.proc = None
        assert code == 0, self.errors()

    def restart(self, kill=True):
        if kill:
            self.kill()
        else:
            self.umount()
        return self.start()

    def end(self):
        hung = None
        if self.proc and self.proc.poll() is None:
            detach(self.path)
            try:
                self.proc.wait(WAIT)
            except subprocess.TimeoutExpired:
                # A client that still holds a file keeps a detached mount alive: then it is told.
                self.proc.terminate()
                try:
                    self.proc.wait(WAIT)
                except subprocess.TimeoutExpired:
                    hung = stacks(self.server())
        if self.proc:
            code = self.proc.poll()
            try:
                os.killpg(self.proc.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.proc.wait(WAIT)
        else:
            code = 0
        while self.mounted() and detach(self.path):
            pass
        assert hung is None, "the server hangs at its end:\n" + hung
        assert not self.bad_lines(), self.errors()
        assert code in (0, None) or any(e.pattern == "exit" for e in self.expected), \
            "the server ended with %s\n%s" % (code, self.errors())

    # ---- clients

    def sh(self, script, shell="bash", user=None, check=True, groups=(), cwd=None, stdin=None):
        """Run a script with $M (the mount) and $P (compiled test objects). A failure shows all of it."""
        if user is None:
            user = self.user
        env = dict(os.environ, M=self.path, P=PROGS, T=self.base, LC_ALL="C")
        r = subprocess.run([shell, "-c", script], capture_output=True, text=True, timeout=WAIT * 3, env=env,
                           cwd=cwd or self.base, input=stdin, **as_user(user, groups))
        if check:
            assert r.returncode == 0, "%s\n-> %d\n%s%s\nM/log:\n%s\nstderr:\n%s" % (
                script, r.returncode, r.stdout, r.stderr, self.log(), self.errors())
        return r

    def out(self, script, **kwargs):
        return self.sh(script, **kwargs).stdout

    def fails(self, script, message, **kwargs):
        """The command fails, and says this (a strerror text)."""
        r = self.sh(script, check=False, **kwargs)
        assert r.returncode != 0, "should fail: " + script + "\n" + r.stdout
        assert message in r.stderr, "%s\n-> %s, expected %s" % (script, r.stderr, message)
        return r

    def p(self, *names):
        return os.path.join(self.path, *names)

    def read(self, *names):
        with open(self.p(*names)) as f:
            return f.read()

    def log(self):
        return self.sh("cat $M/log", check=False).stdout

    def load(self, name, **kwargs):
        return self.sh("cat $P/%s.bpf.o > $M/progs/new" % name, **kwargs)

    def run(self, prog, packet="head -c 64 /dev/zero", **kwargs):
        """Run what this command prints, to its end, and give the report: a run that a close begins has only begun."""
        return self.out("exec 3<>$M/progs/%s/run; %s >&3; cat <&3" % (prog, packet), **kwargs)

    def names(self):
        """What loads made: everything in progs/ and maps/ but the files that are always there."""
        return (sorted(set(os.listdir(self.p("progs"))) - {"new", "log"}), sorted(os.listdir(self.p("maps"))))

    def info(self, *names):
        """A file of `name: value` lines."""
        return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "")
                    for line in self.read(*names).splitlines())

    def metrics(self):
        return {k: int(v) for k, v in self.info("status").items()}

    def wait_parked(self, n):
        """Requests that wait for something to happen: their callers are at work."""
        wait_for(lambda: self.metrics()["parked_requests"] == n, "%d waiting requests" % n)

    def wait_jobs(self, n=1):
        """Requests of ours that run or wait on a worker."""
        wait_for(lambda: int(self.info("limits", "usage")["jobs"].split("/")[0]) >= n, "%d requests at work" % n)

    def ticks(self):
        """Processor time of the server."""
        with open("/proc/%d/stat" % self.server()) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def wait_busy(self, ticks=10):
        start = self.ticks()
        wait_for(lambda: self.ticks() > start + ticks, "the server to be busy")

    def wait_live(self, progs, maps):
        """The engine's own counts; what ends does so after a grace period."""
        def there():
            v = self.metrics()
            return (v["progs_live"], v["maps_live"]) == (progs, maps)
        try:
            wait_for(there, "")
        except AssertionError:
            v = self.metrics()
            raise AssertionError("live: %s programs, %s maps; expected %d, %d" %
                                 (v["progs_live"], v["maps_live"], progs, maps))

    def objects(self):
        return sorted(os.listdir(os.path.join(self.state, "objects")))


def obj(name):
    """The bytes of a compiled test object."""
    with open(os.path.join(PROGS, name + ".bpf.o"), "rb") as f:
        return f.read()


def make_base(parent):
    base = tempfile.mkdtemp(prefix="ubpffs-", dir=parent)
    os.chmod(base, 0o755)
    return base


PARENTS = {"disk": "/tmp", "tmpfs": "/dev/shm"}


def state_parent(where):
    parent = PARENTS[where]
    if not os.path.isdir(parent) or (where == "tmpfs") != (fs_type(parent) == "tmpfs"):
        pytest.skip("%s is not on %s here" % (parent, where))
    need_room(parent)
    return make_base(parent)


def need_room(parent):
    """Some tests fill maps; a container's /dev/shm may be of any size, and read-only."""
    st = os.statvfs(parent)
    if not os.access(parent, os.W_OK) or st.f_bavail * st.f_frsize < 32 << 20:
        pytest.skip("%s has no 32 MiB that we may write here" % parent)


def make_mount(where, user=None):
    parent = state_parent(where)
    base = make_base("/tmp")
    if user is not None and os.geteuid() == 0:
        os.chown(parent, user, user)
    return Mount(base, parent, user), (base, parent)


@pytest.fixture(params=["disk", "tmpfs"])
def cold(request):
    """A Mount that is not started."""
    mount, dirs = make_mount(request.param)
    yield mount
    try:
        mount.end()
    finally:
        for d in dirs:
            shutil.rmtree(d, ignore_errors=True)


@pytest.fixture
def m(cold):
    return cold.start()


@contextlib.contextmanager
def open_dev_fuse():
    """/dev/fuse open to everybody, as udev makes it; some containers have it for root only."""
    mode = os.stat("/dev/fuse").st_mode & 0o777
    try:
        os.chmod("/dev/fuse", 0o666)
    except OSError:
        if mode & 0o6 != 0o6:
            pytest.skip("/dev/fuse is closed to ordinary users here")
    yield
    if mode != 0o666:
        os.chmod("/dev/fuse", mode)


@pytest.fixture
def dev_fuse():
    with open_dev_fuse():
        yield


@pytest.fixture
def user_mount(dev_fuse):
    """A server of an ordinary user (state on tmpfs), not started."""
    mount, dirs = make_mount("tmpfs", os.geteuid() or USERS[0])
    yield mount
    try:
        mount.end()
    finally:
        for d in dirs:
            shutil.rmtree(d, ignore_errors=True)


@pytest.fixture(params=["bash", "dash"])
def shell(request):
    return request.param
