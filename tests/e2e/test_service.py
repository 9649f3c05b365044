"""
What a service manager is told by the server that it started, and what an installation is made of
"""
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import BUILD, BUILT, ROOT, WAIT, wait_for

CTL = os.path.join(BUILD, "ubpfctl")


@pytest.fixture
def manager():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(WAIT)
        yield s


def start(m, manager, name, watchdog_s=0.0):
    manager.bind(name.replace("@", "\0"))
    m.environment["NOTIFY_SOCKET"] = name
    if watchdog_s:
        m.environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
    m.start()


def group_is_gone(pgid):
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return True


@pytest.mark.parametrize("keeper", ["off", "on"])
@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_manager_is_told_when_the_mount_answers(cold, manager, keeper, kind):
    cold.options.append("keeper=" + keeper)
    start(cold, manager, cold.base + "/notify" if kind == "path" else "@ubpffs-test-%d" % os.getpid())
    assert manager.recv(100) == b"READY=1"
    pgid = cold.proc.pid
    cold.umount()
    wait_for(lambda: group_is_gone(pgid), "the end of all processes of the server")
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):  # nobody asked for signs of life
        manager.recv(100)


def test_a_server_that_does_not_answer_is_silent(cold, manager):
    start(cold, manager, cold.base + "/notify", watchdog_s=0.2)
    assert manager.recv(100) == b"READY=1"
    for _ in range(3):
        assert manager.recv(100) == b"WATCHDOG=1"
    os.kill(cold.server(), signal.SIGSTOP)
    manager.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:  # what was sent before
            manager.recv(100)
    os.kill(cold.server(), signal.SIGCONT)
    manager.settimeout(WAIT)
    assert manager.recv(100) == b"WATCHDOG=1"
    pgid = cold.proc.pid
    cold.kill()  # also while it looks at the mount
    wait_for(lambda: group_is_gone(pgid), "the end of all processes")


def test_another_process_watchdog_is_not_ours(cold, manager):
    cold.environment["WATCHDOG_PID"] = "1"
    start(cold, manager, cold.base + "/notify", watchdog_s=0.05)
    assert manager.recv(100) == b"READY=1"
    manager.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.recv(100)


@pytest.mark.parametrize("name", ["notify", "/nonexistent/notify", "@", "/" + "x" * 200])
def test_a_manager_that_is_not_there_is_said(cold, name):
    cold.environment["NOTIFY_SOCKET"] = name
    cold.expect("exit")
    cold.start(check=False)
    assert cold.proc.wait(WAIT) == 1
    assert "the service manager of $NOTIFY_SOCKET: " in cold.errors()
    assert not cold.mounted()


# ---- an installation

@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image")
    subprocess.run(["make", "-C", ROOT, "install", "DESTDIR=%s" % root, "PREFIX=/usr", "LIBDIR=/usr/lib/somewhere",
                    "O=" + BUILT, "SAN=" + os.environ.get("UBPFFS_SAN", "")], check=True, capture_output=True)
    return str(root)


def files(root):
    return sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names)


def test_an_installation_has_its_parts(image):
    have = files(image)
    for what in "bin/ubpffs", "bin/ubpfctl", "sbin/mount.fuse.ubpffs", "lib/somewhere/libubpffs.so.0", \
            "lib/somewhere/libubpffs-client.a", "lib/somewhere/pkgconfig/ubpffs.pc", "include/ubpffs/ubpffs_client.h", \
            "lib/systemd/system/ubpffs.service", "lib/systemd/user/ubpffs.service", \
            "share/bash-completion/completions/ubpfctl":
        assert "usr/" + what in have
    with open(image + "/usr/lib/somewhere/pkgconfig/ubpffs-client.pc") as f:
        assert "libdir=/usr/lib/somewhere\n" in f.read()
    assert os.path.exists(os.path.realpath(image + "/usr/sbin/mount.fuse.ubpffs"))
    if shutil.which("systemd-analyze"):
        for kind in "system", "user":
            unit = image + "/usr/lib/systemd/%s/ubpffs.service" % kind
            with open(unit) as f:
                text = f.read()
            assert "ExecStart=/usr/bin/ubpffs -f" in text
            with open(unit, "w") as f:
                f.write(text.replace("/usr/bin/ubpffs", image + "/usr/bin/ubpffs"))
            r = subprocess.run(["systemd-analyze", "--man=no", "--%s" % kind, "verify", unit], capture_output=True, text=True)
            assert "ubpffs" not in r.stderr, r.stderr


def test_uninstall_takes_away_what_install_made(image, tmp_path):
    shutil.copytree(image, tmp_path / "root", symlinks=True)
    (tmp_path / "root/usr/bin/other").write_text("")
    subprocess.run(["make", "-C", ROOT, "uninstall", "DESTDIR=%s/root" % tmp_path, "PREFIX=/usr", "O=" + BUILT,
                    "LIBDIR=/usr/lib/somewhere", "SAN=" + os.environ.get("UBPFFS_SAN", "")], check=True, capture_output=True)
    assert files(tmp_path / "root") == ["usr/bin/other"]


def test_each_program_says_its_version():
    with open(os.path.join(ROOT, "debian", "changelog")) as f:
        version = re.search(r"\((.*?)\)", f.readline()).group(1)
    for command in "ubpffs", "ubpfctl":
        for option in "-V", "--version":
            assert subprocess.run([os.path.join(BUILD, command), option], capture_output=True, text=True).stdout \
                .splitlines()[0] == "%s %s" % (command, version)


# ---- the client's help and completion

def commands():
    text = subprocess.run([CTL, "help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (\S+)", text, re.M)


def test_each_command_has_help_with_an_example():
    assert "load" in commands()
    for command in commands():
        r = subprocess.run([CTL, command, "--help"], capture_output=True, text=True)
        assert r.returncode == 0 and "\nexample:\n    ubpfctl " + command in r.stdout, command
        assert subprocess.run([CTL, "help", command], capture_output=True, text=True).stdout == r.stdout
    r = subprocess.run([CTL, "help", "none"], capture_output=True, text=True)
    assert r.returncode == 2 and "no command 'none'" in r.stderr


@pytest.mark.parametrize("line, offered", [
    ("", "load push list run"), ("li", "list"), ("-m /x l", "load list"), ("list ", "progs maps"), ("list m", "maps"),
    ("filter -", "-d"), ("completion f", "fish"), ("help tr", "trace")])
def test_bash_completes(line, offered):
    words = ["ubpfctl"] + line.split(" ")
    script = 'eval "$(%s completion bash)"; COMP_WORDS=(%s); COMP_CWORD=%d; _ubpfctl; echo "${COMPREPLY[@]}"' % (
        CTL, " ".join("'%s'" % w for w in words), len(words) - 1)
    got = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(offered.split()) <= set(got)
    assert all(w.startswith(words[-1]) for w in got)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_completion(shell):
    text = subprocess.run([CTL, "completion", shell], capture_output=True, text=True, check=True).stdout
    assert all(c in text for c in commands())
    if not shutil.which(shell):
        pytest.skip("no %s here that could read it" % shell)
    subprocess.run([shell, "-n"], input=text, text=True, check=True)
