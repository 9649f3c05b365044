"""
pytest_plugin - test eBPF programs without root: pytest -p ubpffs.pytest_plugin

    def test_drop(ubpffs_mount):
        prog = ubpffs_mount.load("drop.bpf.o").progs["drop"]
        assert prog.run(PACKET).retval == 1

Each test has a mounted server of its own, which goes with it. Where none can be mounted the test is skipped, with the reason.
"""
import pytest

import ubpffs


@pytest.fixture
def ubpffs_mount():
    server = ubpffs.serve()
    try:
        mount = server.__enter__()
    except (RuntimeError, FileNotFoundError) as e:
        pytest.skip(str(e))
    try:
        yield mount
    finally:
        server.__exit__(None, None, None)
