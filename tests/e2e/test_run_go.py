"""
ubpfctl run: a Go program on Debian's golang-github-cilium-ebpf-dev (tests/e2e/client.go), which is static and has threads of its
own. It says the same here, as an ordinary user and, where root may, on the running kernel.
"""
import os
import shutil
import subprocess
import tempfile
import uuid

import pytest

from bpf2 import can_run, kernel_serves, under_run
from conftest import PROGS, WAIT
from test_run_cgroup import host_cgroups

HERE = os.path.dirname(os.path.abspath(__file__))
GOPATH = "/usr/share/gocode"

EXPECTED = """runs 1 1
record [5 0 0 0 46 0 0 0]
record [10 0 0 0 86 0 0 0]
closed: true
keys [46 86]
absent: true
there: true
batch 3 <nil>
batch 5 true
pinned 20 Hash 16
name by_len
link true true
run 1
run 1
run 1
record [64 0 0 0 97 98 99 100 0 0 0 0] 0
record [64 0 0 0 97 98 99 100 0 0 0 0] 0
record [64 0 0 0 97 98 99 100 0 0 0 0] 0
paused 254
resumed 1
closed: true
refused: true
"""


@pytest.fixture(scope="module")
def client():
    if not shutil.which("go") or not os.path.isdir(GOPATH + "/src/github.com/cilium/ebpf"):
        pytest.skip("golang-go and golang-github-cilium-ebpf-dev are not installed")
    with open(GOPATH + "/src/github.com/cilium/ebpf/map.go") as f:
        if "MapBatchCursor" in f.read():
            pytest.skip("client.go is written for cilium/ebpf before 0.13, whose batches have no cursor type")
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        out = os.path.join(base, "client")
        env = dict(os.environ, GOPATH=GOPATH, GO111MODULE="off", CGO_ENABLED="0", HOME=os.environ.get("HOME", base))
        r = subprocess.run(["go", "build", "-o", out, os.path.join(HERE, "client.go")], env=env, capture_output=True, text=True,
                           timeout=20 * WAIT)
        assert r.returncode == 0, r.stderr
        yield out


def arguments(cgroup, pins):
    return [os.path.join(PROGS, "skeleton.bpf.o"), os.path.join(PROGS, "perf_output.bpf.o"), cgroup, pins]


def run_client(m, client):
    can_run(m)
    for d in "cgroup/go", "pins":
        assert under_run(m, "mkdir", m.p(d)).returncode == 0
    r = under_run(m, client, *arguments(m.p("cgroup/go"), m.p("pins")))
    assert r.stdout == EXPECTED, r.stdout + r.stderr


def test_go(m, client):
    run_client(m, client)


def test_go_of_an_ordinary_user(user_mount, client):
    run_client(user_mount.start(), client)


def test_go_on_the_kernel(tmp_path, client):
    host = host_cgroups()
    if not kernel_serves() or not host:
        pytest.skip("the running kernel does not answer bpf(2), or has no cgroup v2")
    if subprocess.run(["mount", "-t", "bpf", "bpf", tmp_path], capture_output=True).returncode:
        pytest.skip("no bpffs can be mounted")
    cgroup = os.path.join(host, "t" + uuid.uuid4().hex[:8])
    os.mkdir(cgroup)
    try:
        r = subprocess.run([client, *arguments(cgroup, str(tmp_path))], capture_output=True, text=True, timeout=WAIT)
        assert r.stdout == EXPECTED, r.stdout + r.stderr
    finally:
        os.rmdir(cgroup)
        subprocess.run(["umount", "-l", tmp_path], check=True)
