"""The examples with the kernel's types (bpftool's vmlinux.h) in the place of headers: loaded unchanged, they do the same."""
import os
import re
import shutil
import struct
import subprocess

import pytest

from conftest import ROOT, wait_for

pytestmark = [
    pytest.mark.skipif(not os.path.exists("/sys/kernel/btf/vmlinux"), reason="the kernel shows no BTF"),
    pytest.mark.skipif(not shutil.which("bpftool") or not shutil.which("clang"), reason="no bpftool, or no clang")]

MACROS = {  # which no BTF has
    "ETH_P_IP": 0x0800, "ETH_P_IPV6": 0x86dd, "ETH_P_8021Q": 0x8100, "ETH_P_8021AD": 0x88a8,
}


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    done = subprocess.run(["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"], capture_output=True)
    if done.returncode:
        pytest.skip("bpftool: " + done.stderr.decode())
    path = tmp_path_factory.mktemp("vmlinux") / "vmlinux.h"
    path.write_bytes(done.stdout)
    return path.parent


def build(header, name):
    source = open(os.path.join(ROOT, "examples", name + ".bpf.c")).read()
    lines = [line for line in source.splitlines() if not re.match(r"#include <(linux|asm|netinet|stddef|std)", line)]
    # two names that are the kernel's, too
    lines = [re.sub(r"\bstruct key\b", "struct sample_key", line) for line in lines]
    lines = [re.sub(r"\b(DROP|PASS)\b", r"VERDICT_\1", line) for line in lines]
    macros = ["#define %s %#x" % (n, MACROS[n]) for n in sorted(set(re.findall(r"\bETH_P_\w+\b", source)))]
    (header / (name + ".bpf.c")).write_text("\n".join(['#include "vmlinux.h"'] + macros + lines) + "\n")
    path = header / (name + ".o")
    subprocess.run(["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-c", name + ".bpf.c", "-o", path], cwd=header, check=True)
    relocated = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    assert ".BTF.ext" in relocated
    return str(path)


def frame(ethertype, body):
    return bytes(12) + struct.pack(">H", ethertype) + body + bytes(40)


def ipv4(proto, port, ihl=5):
    return frame(0x0800, struct.pack(">BBHHHBBHII", 0x40 | ihl, 0, 60, 1, 0, 64, proto, 0, 1, 2) + bytes(4 * (ihl - 5)) +
                 struct.pack(">HH", 9, port))


def ipv6(proto, port):
    return frame(0x86dd, struct.pack(">IHBB", 6 << 28, 40, proto, 64) + bytes(32) + struct.pack(">HH", 9, port))


PACKETS = [ipv4(6, 443), ipv4(17, 53), ipv4(17, 53, 7), ipv4(1, 0), ipv6(6, 80), ipv6(17, 443), ipv6(58, 1),
           frame(0x0806, bytes(28)), bytes(14), ipv4(6, 443)[:30]]


def behaviour(m, path, prog, maps):
    """What an object makes of the packets, and what its maps hold then. It is gone afterwards."""
    m.sh("cat %s > $M/progs/new" % path)
    seen = []
    if prog == "firewall":
        m.sh("echo 0 > $M/maps/blocked/entries/443")
    for packet in PACKETS:
        with open(m.p("progs", prog, "run"), "r+b", buffering=0) as f:
            try:
                f.write(packet)
                seen.append([line for line in f.read(65536).decode().splitlines() if "duration" not in line])
            except OSError as e:
                seen.append(e.errno)
    seen += [sorted(m.read("maps", name, "dump").splitlines()) for name in maps]
    m.sh("rm -r $M/progs/%s" % prog)
    m.wait_live(0, 0)
    return seen


@pytest.mark.parametrize("prog,maps", [("traffic", ("port_packets", "port_bytes", "proto_packets")),
                                       ("firewall", ("blocked", "sent"))])
def test_it_does_the_same(m, header, prog, maps):
    plain = behaviour(m, os.path.join(os.environ["UBPFFS_BUILD"], "examples", prog + ".bpf.o"), prog, maps)
    assert any(lines != [] for lines in plain[-len(maps):])
    assert behaviour(m, build(header, prog), prog, maps) == plain


def ticks(m, path):
    """A profile of timer ticks, which have no stacks: the keys that it counts."""
    m.sh("cat %s > $M/progs/new" % path)
    m.sh("mkdir $M/events/t; cd $M/events/t; echo timer > type; echo 1 > interval_ms; echo profile > attach")
    wait_for(lambda: m.read("maps", "counts", "dump").strip(), "a tick that was counted")
    m.sh("rm -r $M/events/t")
    keys = {line.split()[0] for line in m.read("maps", "counts", "dump").splitlines()}
    m.sh("rm -r $M/progs/profile")
    m.wait_live(0, 0)
    return keys


def test_a_profile_does_the_same(m, header):
    plain = ticks(m, os.path.join(os.environ["UBPFFS_BUILD"], "examples", "profile.bpf.o"))
    assert ticks(m, build(header, "profile")) == plain


def test_what_is_unsafe_is_refused_the_same(m, header):
    reasons = []
    for path in (os.path.join(os.environ["UBPFFS_BUILD"], "examples", "unsafe.bpf.o"), build(header, "unsafe")):
        m.fails("cat %s > $M/progs/new" % path, "Permission denied")
        reasons.append([line for line in m.read("progs", "log").splitlines() if line.startswith("reason:")])
    assert reasons[0] and reasons[0] == reasons[1]
