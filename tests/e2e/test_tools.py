"""
Ordinary tools see what cat sees: whoever goes by st_size (sendfile, mmap, tar, a copy in pieces) gets the whole file,
and a failure reaches the caller's exit code.
"""
import errno
import io
import mmap
import os
import shutil
import subprocess
import tarfile

import pytest

MAP = ("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 4 > key_size; echo 8 > value_size; echo 100 > max_entries;"
       "for i in 1 2 3 44; do echo $i$i > entries/$i; done")
FILES = ["README", "version", "features", "maps/h/type", "maps/h/info", "maps/h/stats", "maps/h/entries/44",
         "maps/h/dump", "maps/h/dump.json", "maps/h/raw"]


def content(path):
    with open(path, "rb") as f:
        return f.read()


def by_sendfile(path, tmp):
    """Asks for more than there is, as cp and web servers do with what stat said."""
    with open(path, "rb") as f, open(tmp, "wb") as to:
        while os.sendfile(to.fileno(), f.fileno(), None, 1 << 20):
            pass
    return content(tmp)


def by_mmap(path, tmp):
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE) as there:
        return there[:]


def by_tar(path, tmp):
    done = subprocess.run(["tar", "cf", "-", "-C", os.path.dirname(path), os.path.basename(path)], capture_output=True)
    assert done.returncode == 0, done.stderr
    return tarfile.open(fileobj=io.BytesIO(done.stdout)).extractfile(os.path.basename(path)).read()


def by_copy(path, tmp):
    shutil.copy(path, tmp)
    return content(tmp)


def by_command(*argv):
    def run(path, tmp):
        if not shutil.which(argv[0]):
            pytest.skip(argv[0] + " is missing")
        with open(tmp, "wb"):
            pass
        words = [word.replace("FROM", path).replace("TO", tmp) for word in argv]
        done = subprocess.run(words, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout or content(tmp)
    return run


WAYS = {"sendfile": by_sendfile, "mmap": by_mmap, "tar": by_tar, "shutil": by_copy,
        "busybox cat": by_command("busybox", "cat", "FROM"), "busybox cp": by_command("busybox", "cp", "FROM", "TO"),
        "cp": by_command("cp", "FROM", "TO"), "dd": by_command("dd", "if=FROM", "of=TO"),
        "rsync": by_command("rsync", "FROM", "TO")}


@pytest.mark.parametrize("way", WAYS)
def test_every_tool_reads_what_cat_reads(m, way, tmp_path):
    m.sh(MAP)
    for name in FILES:
        path = m.p(name)
        assert os.stat(path).st_size == len(content(path)) > 0, name
        assert WAYS[way](path, str(tmp_path / "copy")) == content(path), name


def test_time_of_a_file_stays(m):
    m.sh(MAP)
    paths = [m.p("maps/h/dump"), m.p("maps/h/entries/1"), m.p("README")]
    before = [os.stat(path).st_mtime_ns for path in paths]
    m.sh("echo 5 > $M/maps/h/entries/5")
    assert [os.stat(path).st_mtime_ns for path in paths] == before


def test_a_bad_packet_fails_the_command(m):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new")
    prog = [name for name in os.listdir(m.p("progs")) if name not in ("new", "log")][0]
    with pytest.raises(OSError):
        with open(m.p("progs", prog, "run"), "wb") as f:
            f.write(b"short")


def test_one_cpu_of_a_value(m):
    m.sh("mkdir $M/maps/p; cd $M/maps/p; echo percpu_hash > type; echo 4 > key_size; echo 8 > value_size;"
         "echo 10 > max_entries; echo 7 > entries/1; echo 'cpu0 9' > entries/1")
    lines = content(m.p("maps/p/entries/1")).decode().split("\n")
    assert lines[0] == "cpu0 9" and all(line.endswith(" 7") for line in lines[1:-1])


@pytest.mark.parametrize("file", ["push", "dump"])
def test_a_tail_behind_a_full_buffer_fails_the_close(m, file):
    """512 bytes: whether the last line is whole only the close tells, and it carries what became of the line."""
    m.sh("mkdir $M/maps/q; cd $M/maps/q; echo queue > type; echo 1 > value_size; echo 600 > max_entries")
    full = "12\n" * 170
    fd = os.open(m.p("maps/q", file), os.O_WRONLY)
    os.write(fd, (full + "1x").encode())
    with pytest.raises(OSError) as e:
        os.close(fd)
    assert e.value.errno == errno.EINVAL
    assert content(m.p("maps/q/dump")).decode() == full
    fd = os.open(m.p("maps/q", file), os.O_WRONLY)
    os.write(fd, (full + "34").encode())
    os.close(os.dup(fd))
    os.close(fd)  # it acted, once
    assert content(m.p("maps/q/dump")).decode() == full * 2 + "34\n"
