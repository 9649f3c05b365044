"""The engine as a library: what it shows, and the examples that embed it. No mount."""
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

SAN = os.environ.get("UBPFFS_SAN")


def example(name, *args, text=None, code=0):
    out = subprocess.run([os.path.join(BUILD, "examples", name), *args], input=text, capture_output=True, text=True)
    assert out.returncode == code, out.stderr
    return out.stdout if not code else out.stderr


@pytest.mark.skipif(bool(SAN), reason="a sanitizer's library shows the sanitizer's symbols, too")
def test_it_shows_the_functions_of_its_headers_and_no_more():
    declared = set()
    for header in "ubpffs_engine.h", "ubpffs_filter.h":
        with open(os.path.join(ROOT, "engine", header)) as f:
            code = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
        declared |= set(re.findall(r"\b(ubpffs_\w+)\(", code))
    out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "libubpffs.so")],
                         capture_output=True, text=True, check=True).stdout
    shown = {line.split()[2] for line in out.splitlines()} - {"UBPFFS_0.1"}
    assert shown == {name + "@@UBPFFS_0.1" for name in declared}
    out = subprocess.run(["readelf", "-d", os.path.join(BUILD, "libubpffs.so")], capture_output=True, text=True,
                         check=True).stdout
    assert "[libubpffs.so.0]" in out


def test_embed():
    out = example("embed")
    assert "1000000 IPv4 packets" in out and "without the null check: Permission denied" in out


def test_helper():
    """Rules on the host's memory, with a function of the host's that the verifier guards."""
    out = example("helper", os.path.join(BUILD, "examples", "score.bpf.o"))
    assert out.splitlines()[:4] == ["agnes 100: taken, 10%", "agnes 900: taken, 15%", "bert 900: taken, 5%",
                                    "bert 3000: refused, 5%"]
    assert "a wrong rule: invalid access to memory" in out


BYTE_2 = "71 10 02 00 00 00 00 00  95 00 00 00 00 00 00 00"  # r0 = *(u8 *)(r1 + 2); exit
SIZE = "bf 20 00 00 00 00 00 00  95 00 00 00 00 00 00 00"  # r0 = r2; exit
SHIFT_68 = "b7 00 00 00 01 00 00 00  67 00 00 00 44 00 00 00  95 00 00 00 00 00 00 00"


@pytest.mark.parametrize("mode", ["", "-i", "-u", "-ui"])
def test_run_bytes(mode):
    args = [mode] if mode else []
    assert example("run_bytes", *args, "aa bb 11", text=BYTE_2) == "11\n"
    assert example("run_bytes", *args, "aa bb 11", text=SIZE) == "3\n"
    assert example("run_bytes", *args, text=SIZE) == "0\n"
    if "u" in mode:
        assert example("run_bytes", *args, text=SHIFT_68) == "10\n"
    else:
        assert "reason: invalid shift 68" in example("run_bytes", *args, text=SHIFT_68, code=1)
        assert "mem_size=2" in example("run_bytes", *args, "aa bb", text=BYTE_2, code=1)
    for bad in "", "71", "no bytes":
        assert "these are no bytes" in example("run_bytes", *args, text=bad, code=2)
