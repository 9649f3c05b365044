"""M/cgroup: the hierarchy, what is attached and what is effective."""
import os
import random
import re

import pytest

from conftest import USERS

ETH_IP = bytes(12) + b"\x08\x00"
PACKET = ETH_IP + bytes.fromhex("450000280001000040060000 0a000001 0a000002".replace(" ", "")) + bytes(20)


@pytest.fixture
def tree(m):
    """A - B - C and D - E below B; programs allow and deny are loaded."""
    m.load("cgroup_verdicts")
    m.sh("mkdir -p $M/cgroup/A/B/C $M/cgroup/A/B/D/E")
    return m


def effective(m, path, kind="ingress"):
    return [line.split()[0] for line in m.read("cgroup", path, kind + ".effective").splitlines()]


def run(m, path, kind="ingress"):
    fd = os.open(m.p("cgroup", path, kind + ".run"), os.O_RDWR)
    try:
        os.write(fd, PACKET)
        text = os.read(fd, 65536).decode()
    finally:
        os.close(fd)
    return int(text.split("retval: ")[1].split()[0])


def test_the_example(tree):
    m = tree
    m.sh("echo allow > $M/cgroup/A/B/ingress.attach")
    assert m.read("cgroup/A/B/ingress.attach") == "allow override\n"
    for path in ("A/B", "A/B/C", "A/B/D", "A/B/D/E"):
        assert effective(m, path) == ["allow"]
    assert effective(m, "A") == []
    assert "from A/B\n" in m.read("cgroup/A/B/D/E/ingress.effective")
    m.sh("echo deny > $M/cgroup/A/B/D/ingress.attach")
    assert [effective(m, p) for p in ("A/B", "A/B/C", "A/B/D", "A/B/D/E")] == [["allow"], ["allow"], ["deny"], ["deny"]]
    assert (run(m, "A/B/C"), run(m, "A/B/D/E"), run(m, "A")) == (1, 0, 1)
    m.sh("echo > $M/cgroup/A/B/D/ingress.attach")
    assert effective(m, "A/B/D/E") == ["allow"]
    assert m.read("cgroup/A/B/D/ingress.attach") == ""
    m.sh("mkdir $M/cgroup/A/B/D/F")
    assert effective(m, "A/B/D/F") == ["allow"]
    assert effective(m, "A/B", "egress") == []
    stats = m.info("cgroup/A/B/D/E/stats")
    assert (stats["ingress_allowed"], stats["ingress_dropped"]) == ("0", "1")


def test_flags(tree):
    m = tree
    m.sh("echo allow exclusive > $M/cgroup/A/ingress.attach")
    m.fails("echo deny > $M/cgroup/A/B/ingress.attach", "Operation not permitted")
    assert effective(m, "A/B") == ["allow"]
    m.sh("echo > $M/cgroup/A/ingress.attach; echo allow multi > $M/cgroup/A/ingress.attach; "
         "echo allow2 multi > $M/cgroup/A/ingress.attach; echo deny multi > $M/cgroup/A/B/ingress.attach")
    assert effective(m, "A/B/C") == ["deny", "allow", "allow2"]
    assert run(m, "A/B/C") == 0
    ids = {name: m.info("progs", name, "info")["id"] for name in ("allow", "allow2", "deny")}
    assert m.read("cgroup/A/B/C/ingress.effective").splitlines() == [
        "deny id %s multi from A/B" % ids["deny"], "allow id %s multi from A" % ids["allow"],
        "allow2 id %s multi from A" % ids["allow2"]]
    m.sh("echo allow multi replace deny > $M/cgroup/A/B/ingress.attach")
    assert effective(m, "A/B/C") == ["allow", "allow", "allow2"]
    m.sh("cat $M/cgroup/A/ingress.attach > $T/f; cat $T/f > $M/cgroup/A/ingress.attach")  # what it prints is taken
    assert m.read("cgroup/A/ingress.attach") == "allow multi\nallow2 multi\n"
    m.fails("echo > $M/cgroup/A/ingress.attach", "Invalid argument")
    m.sh("echo allow detach > $M/cgroup/A/ingress.attach")
    assert effective(m, "A/B/C") == ["allow", "allow2"]
    m.fails("echo deny detach > $M/cgroup/A/ingress.attach", "No such file")


def test_errors(tree):
    m = tree
    m.fails("echo nothing > $M/cgroup/A/ingress.attach", "No such file")
    m.fails("echo allow wrong > $M/cgroup/A/ingress.attach", "Invalid argument")
    m.fails("echo > $M/cgroup/A/ingress.attach", "No such file")
    m.load("count_ports")
    m.fails("echo count_ports > $M/cgroup/A/ingress.attach", "Invalid argument")
    m.fails("rmdir $M/cgroup/A", "Device or resource busy")
    m.fails("rm -f $M/cgroup/A/stats", "Operation not permitted")
    m.fails("mv $M/cgroup/A $M/cgroup/Z", "Operation not permitted")
    m.fails("mkdir $M/cgroup/A/stats", "File exists")
    deep = "/".join(["d"] * 64)
    m.sh("mkdir -p $M/cgroup/" + deep)
    m.fails("mkdir $M/cgroup/%s/e" % deep, "Resource temporarily unavailable")
    assert effective(m, "A") == []


def test_split_writes(tree):
    m = tree
    m.sh("printf 'allow override\\n' | dd of=$M/cgroup/A/ingress.attach bs=1 2>/dev/null")
    assert effective(m, "A") == ["allow"]
    m.sh("printf deny > $M/cgroup/A/ingress.attach")
    assert effective(m, "A") == ["deny"]
    m.sh(": > $M/cgroup/A/ingress.attach")
    assert effective(m, "A") == ["deny"]


def test_an_attachment_holds_its_program(tree):
    m = tree
    m.sh("echo deny > $M/cgroup/A/ingress.attach; rm -r $M/progs/*/ 2>/dev/null; true")
    m.wait_live(1, 0)
    assert run(m, "A/B/C") == 0
    m.restart()
    assert run(m, "A/B/C") == 0
    m.sh("echo > $M/cgroup/A/ingress.attach")
    m.wait_live(0, 0)
    assert m.objects() == []


def test_restart(tree):
    m = tree
    m.sh("cd $M/cgroup/A && echo allow > B/ingress.attach && echo deny > B/D/ingress.attach && "
         "echo deny multi > B/C/egress.attach && echo allow multi > B/C/egress.attach")
    before = [m.read("cgroup", p, f) for p in ("A", "A/B", "A/B/C", "A/B/D", "A/B/D/E")
              for f in ("ingress.attach", "egress.attach", "ingress.effective", "egress.effective")]
    m.restart()
    assert before == [m.read("cgroup", p, f) for p in ("A", "A/B", "A/B/C", "A/B/D", "A/B/D/E")
                      for f in ("ingress.attach", "egress.attach", "ingress.effective", "egress.effective")]
    m.sh("rmdir $M/cgroup/A/B/C")
    m.sh("rm -r $M/progs/deny; echo > $M/cgroup/A/B/D/ingress.attach; rmdir $M/cgroup/A/B/D/E $M/cgroup/A/B/D")
    assert effective(m, "A/B") == ["allow"]


def test_permissions(tree):
    m = tree
    a, b = USERS
    m.fails("mkdir $M/cgroup/X", "Permission denied", user=a)
    m.sh("chown %d $M/cgroup/A/B/D" % a)
    m.fails("echo allow > $M/cgroup/A/ingress.attach", "Permission denied", user=a)
    m.sh("chmod 666 $M/progs/allow/prog; chmod 644 $M/progs/deny/prog")  # to attach is to run: read and write
    m.fails("echo deny > $M/cgroup/A/B/D/ingress.attach", "Permission denied", user=a)
    m.sh("echo allow > $M/cgroup/A/B/D/ingress.attach; mkdir $M/cgroup/A/B/D/mine", user=a)
    m.fails("echo > $M/cgroup/A/B/D/ingress.attach", "Permission denied", user=b)
    assert effective(m, "A/B/D/mine") == ["allow"]


class Model:
    """The hierarchy as Linux describes it: path -> (flags, programs)."""
    def __init__(self):
        self.at = {".": ("", [])}

    @staticmethod
    def above(path):
        return None if path == "." else os.path.dirname(path) or "."

    def upwards(self, path):
        while path is not None:
            yield path
            path = self.above(path)

    def effective(self, path):
        lines = []
        for p in self.upwards(path):
            flags, progs = self.at[p]
            if not lines or flags == "multi":
                lines += ["%s %s from %s" % (prog, flags, p) for prog in progs]
        return lines

    def attach(self, path, prog, flags, replace):
        for p in list(self.upwards(path))[1:]:
            if self.at[p][1]:
                if self.at[p][0] == "exclusive":
                    return False
                break
        old, progs = self.at[path]
        if progs and old != flags:
            return False
        if progs == [prog] and flags != "multi" or prog in progs and replace is None:
            return True  # as it is
        if replace is not None:
            if flags != "multi" or replace not in progs or prog != replace and prog in progs:
                return False
            progs[progs.index(replace)] = prog
        elif flags == "multi":
            progs.append(prog)
        else:
            progs[:] = [prog]
        self.at[path] = flags, progs
        return True

    def detach(self, path, prog):
        flags, progs = self.at[path]
        if not progs or (flags == "multi" and prog not in progs) or (prog is not None and prog not in progs):
            return False
        progs.remove(prog if prog is not None else progs[0])
        return True

    def rmdir(self, path):
        if any(self.above(p) == path for p in self.at):
            return False
        del self.at[path]
        return True


def test_random(m):
    """Random steps by the files, kill -9 and restarts among them: every effective set is the model's after every step."""
    m.load("cgroup_verdicts")
    rnd = random.Random(5)
    model, changed = Model(), 0

    def write(path, line):
        try:
            with open(m.p("cgroup", path, "egress.attach"), "w") as f:
                f.write(line + "\n")
            return True
        except OSError:
            return False
    for step in range(400):
        path = rnd.choice(sorted(model.at))
        what, prog = rnd.random(), rnd.choice(["allow", "allow2", "deny", "deny2"])
        if what < .15 and len(model.at) < 20:
            new = os.path.normpath(os.path.join(path, "c%d" % step))
            os.mkdir(m.p("cgroup", new))
            model.at[new] = ("", [])
            ok = True
        elif what < .25 and path != ".":
            try:
                os.rmdir(m.p("cgroup", path))
                ok = True
            except OSError:
                ok = False
            assert model.rmdir(path) == ok, (step, path)
        elif what < .7:
            flags = rnd.choice(["override", "multi", "multi", "exclusive"])
            replace = rnd.choice([None, None, "allow", "deny"]) if flags == "multi" else None
            ok = write(path, "%s %s%s" % (prog, flags, " replace " + replace if replace else ""))
            assert model.attach(path, prog, flags, replace) == ok, (step, path, prog, flags, replace, m.log())
        else:
            prog = rnd.choice([None, prog])
            ok = write(path, prog + " detach" if prog else "")
            assert model.detach(path, prog) == ok, (step, path, prog)
        changed += ok
        if step % 100 == 99:
            m.restart(kill=step % 200 == 99)
        for p in model.at:
            got = [re.sub(" id [0-9]+", "", line) for line in m.read("cgroup", p, "egress.effective").splitlines()]
            assert got == model.effective(p), (step, p)
    assert changed > 100
