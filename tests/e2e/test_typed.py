"""Values, keys and variables by their BTF: vars/, JSON in entries/, dump and dump.json."""
import json
import os
import threading

from test_progs_run import PACKET


def entries(m, name):
    return json.loads(m.read("maps", name, "dump.json"))


FLOW = {"saddr": 1, "daddr": 2, "port": 80, "proto": 6, "flags": 0}
HEX = "0100000002000000" + "5000" + "06" + "00"
NEW = {"packets": 0, "bytes": 0, "mode": "OFF", "note": ""}


def test_vars(m):
    m.load("typed")
    assert sorted(os.listdir(m.p("maps", "typed.bss", "vars"))) == ["runs"]
    names = sorted(os.listdir(m.p("maps", "typed.data", "vars")))
    assert names == ["list", "mode", "on", "one.n", "small", "total", "two.n"]
    data = lambda n: m.read("maps", "typed.data", "vars", n)
    assert (data("mode"), data("small"), data("on"), data("list")) == ('"WATCH"\n', "-2\n", "true\n", "[1,2,3,4]\n")
    assert (data("one.n"), data("two.n")) == ("10\n", "20\n")
    assert json.loads(data("total")) == {"packets": 1, "bytes": 2, "mode": "DROP", "note": "first"}
    m.sh("cd $M/maps/typed.data/vars; echo DROP > mode; echo -300 > small; echo false > on; echo '[9,8]' > list; "
         "echo '{\"mode\":\"WATCH\",\"note\":\"a\\\"b\"}' > total; echo 77 > two.n")
    assert (data("mode"), data("small"), data("on"), data("list")) == ('"DROP"\n', "-300\n", "false\n", "[9,8,3,4]\n")
    assert json.loads(data("total")) == {"packets": 1, "bytes": 2, "mode": "WATCH", "note": "a\"b"}
    assert (data("one.n"), data("two.n")) == ("10\n", "77\n")
    # what is printed can be written back
    m.sh("cd $M/maps/typed.data/vars; for f in *; do cat \"$f\" > $T/was; cat $T/was > \"$f\"; cmp $T/was \"$f\" || exit 1; done")
    for n in os.listdir(m.p("maps", "typed.data", "vars")):
        assert os.stat(m.p("maps", "typed.data", "vars", n)).st_size == len(data(n))
    m.restart()
    assert data("small") == "-300\n"


def test_vars_that_cannot_be_written(m):
    m.load("typed")
    v = "$M/maps/typed.data/vars/"
    m.fails("echo PURPLE > %smode" % v, "Invalid argument")
    assert "mode: enum mode has no PURPLE" in m.log()
    m.fails("echo 40000 > %ssmall" % v, "out of range")
    m.fails("echo '[1,2,3,4,5]' > %slist" % v, "out of range")
    m.fails("echo '{\"nothing\":1}' > %stotal" % v, "Invalid argument")
    assert "struct counts has no nothing" in m.log()
    m.fails("echo '{\"note\":\"much longer than that\"}' > %stotal" % v, "out of range")
    m.fails("echo 1 > $M/maps/typed.rodata/vars/answer", "not permitted")
    assert "answer is a constant" in m.log()
    assert m.read("maps", "typed.rodata", "vars", "answer") == "42\n"
    assert m.read("maps", "typed.rodata", "vars", "device") == '"lo"\n'
    m.fails("rm %smode" % v, "not permitted")
    m.sh("rm -r $M/progs/typed; ! ls $M/maps/typed.data 2>/dev/null")


def test_a_variable_alone_is_written(m):
    """What programs count beside it meanwhile is not lost."""
    m.load("typed")
    done = threading.Event()

    def write():
        while not done.is_set():
            with open(m.p("maps", "typed.data", "vars", "list"), "w") as f:
                f.write("[5]\n")
            with open(m.p("maps", "typed.data", "dump.json"), "w") as f:
                f.write('{"key":0,"value":{"small":1}}\n')
    t = threading.Thread(target=write)
    t.start()
    try:
        for _ in range(200):
            fd = os.open(m.p("progs", "typed", "run"), os.O_RDWR)
            os.write(fd, PACKET)
            os.read(fd, 4096)
            os.close(fd)
    finally:
        done.set()
        t.join()
    assert m.read("maps", "typed.bss", "vars", "runs") == "200\n"
    assert [m.read("maps", "typed.data", "vars", n) for n in ("one.n", "two.n")] == ["210\n", "220\n"]


def test_values_by_field(m):
    m.load("typed")
    m.sh("cd $M/maps/flows/entries; echo '{\"packets\":5,\"mode\":\"DROP\"}' > %s" % HEX)
    assert entries(m, "flows") == [{"key": FLOW, "value": dict(NEW, packets=5, mode="DROP")}]
    m.sh("cd $M/maps/flows; echo '{\"note\":\"x\"}' > entries/%s; echo '%s {\"bytes\":7}' > dump" % (HEX, HEX))
    assert entries(m, "flows")[0]["value"] == {"packets": 5, "bytes": 7, "mode": "DROP", "note": "x"}
    m.sh("cd $M/maps/array; echo '{\"packets\":0x10}' > entries/1; echo '1 {\"note\":\"y\"}' > dump")
    assert entries(m, "array")[1]["value"] == dict(NEW, packets=16, note="y")
    m.sh("cd $M/maps/modes/entries; echo -5 > 3; echo 'DROP' > $M/maps/queue/push; echo '\"WATCH\"' > $M/maps/queue/push")
    assert m.read("maps", "modes", "dump.json") == '[\n{"key":"WATCH","value":-5}\n]\n'
    assert m.read("maps", "queue", "dump.json") == '[\n{"value":"DROP"},\n{"value":"WATCH"}\n]\n'
    # all CPUs, then one
    m.sh("cd $M/maps/per_cpu/entries; echo '{\"packets\":4}' > 0; echo 'cpu1 {\"bytes\":9}' > 0")
    values = [v["value"] for v in entries(m, "per_cpu")[0]["values"]]
    assert values[1] == dict(NEW, packets=4, bytes=9) and values[0] == dict(NEW, packets=4)
    # in pieces: it acts when it is whole, and says so when it never was
    m.sh("exec 3> $M/maps/array/entries/0; printf '{\"packets\"' >&3; printf ':3}' >&3; cat $M/maps/array/entries/0; exec 3>&-")
    assert entries(m, "array")[0]["value"]["packets"] == 3
    m.sh("/bin/echo -n '{\"packets\":4' > $M/maps/array/entries/0", check=False)
    assert "maps/array/entries/0: " in m.log() and entries(m, "array")[0]["value"]["packets"] == 3
    m.fails("echo '{\"packets\":-1}' > $M/maps/array/entries/0", "out of range")
    assert "packets: it is a number from 0 to 18446744073709551615" in m.log()
    m.fails("set -C; echo '{\"packets\":1}' > $M/maps/flows/entries/%s" % HEX, "exist")


def test_dump_json_written_back(m):
    m.load("typed")
    m.sh("cd $M/maps; echo '{\"packets\":5,\"mode\":\"DROP\",\"note\":\"a b\"}' > flows/entries/%s; echo 1.5 > "
         "padded/entries/01000000020000006162000000000000; echo '{\"mode\":7}' > array/entries/0; echo 3 > queue/push; "
         "echo 'cpu0 {\"packets\":3}' > per_cpu/entries/0; echo 7 > modes/entries/0" % HEX)
    for name in ("flows", "padded", "modes"):
        m.sh("cd $M/maps/%s; cat dump.json > $T/j; cat dump > $T/d; echo clear > dump; cat $T/j > dump.json; "
             "cmp $T/j dump.json && cmp $T/d dump" % name)
    for name in ("array", "per_cpu", "typed.data", "typed.bss"):
        m.sh("cd $M/maps/%s; cat dump.json > $T/j; cat $T/j > dump.json && cmp $T/j dump.json" % name)
    m.sh("cd $M/maps/queue; cat dump.json > $T/j; cat pop; cat $T/j > dump.json; cmp $T/j dump.json")
    # one object a line, and objects with members in any order
    m.sh("""cd $M/maps/modes; printf '%s\n' '{"value":1,"key":"OFF"}' '{"key":-1,"value":-2}' > dump.json""")
    assert sorted(e["value"] for e in entries(m, "modes")) == [-2, 1]
    m.fails("""echo '[{"key":1,"value":2},{"key":"RED","value":1}]' > $M/maps/modes/dump.json""", "Invalid argument")
    assert "entry 2 ({\"key\":\"RED\"" in m.log() and "enum mode has no RED" in m.log()
    assert len(entries(m, "modes")) == 3
    m.fails("echo '[{\"key\":1}]' > $M/maps/modes/dump.json", "Invalid argument")
    m.fails("echo '5' > $M/maps/modes/dump.json", "Invalid argument")
    # without types
    m.sh("mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 3 > key_size; echo 8 > value_size; echo 4 > max_entries; "
         "echo 18446744073709551615 > entries/0a0b0c; cat dump.json > $T/j; echo clear > dump; cat $T/j > dump.json; "
         "cmp $T/j dump.json; cat entries/0a0b0c")


def test_keys(m):
    m.load("typed")
    e = "$M/maps/flows/entries"
    assert m.read("maps", "flows", "keys") == "number\n"
    m.sh("echo btf > $M/maps/flows/keys; cd %s; echo '{\"packets\":1}' > saddr=1,daddr=2,port=80,proto=6" % e)
    name = "saddr=1,daddr=2,port=80,proto=6,flags=0"
    assert os.listdir(m.p("maps", "flows", "entries")) == [name]
    assert entries(m, "flows")[0]["key"] == FLOW
    m.sh("cd $M/maps/flows; cat entries/%s; cat dump > $T/d; grep -q ^%s $T/d; echo clear > dump; cat $T/d > dump; cmp $T/d dump; "
         "cat entries/%s; echo hex > keys" % (name, name, HEX))
    assert os.listdir(m.p("maps", "flows", "entries")) == [HEX]
    m.sh("echo btf > $M/maps/flows/keys; rm %s/%s; ! ls %s | grep ." % (e, name, e))
    m.fails("echo '{}' > %s/saddr=1,nope=2" % e, "Invalid argument")
    assert "name=value,name=value" in m.log()
    # enumerators and numbers, padding that is not zero
    m.sh("cd $M/maps/modes; echo btf > keys; echo 1 > entries/DROP; echo 2 > entries/77; cat entries/-1; ls entries | grep -qx DROP")
    m.sh("cd $M/maps/padded; echo btf > keys; echo 2 > entries/kind=1,id=2,name=a%20b; echo 3 > entries/01ff0000020000006162000000000000")
    assert sorted(os.listdir(m.p("maps", "padded", "entries"))) == ["01ff0000020000006162000000000000", "kind=1,id=2,name=a%20b"]
    # addresses and prefixes
    m.sh("mkdir $M/maps/ip $M/maps/trie; cd $M/maps/ip; echo hash > type; echo 4 > key_size; echo 8 > value_size; "
         "echo 9 > max_entries; echo ip > keys; echo 5 > entries/10.0.0.1; ls entries | grep -qx 10.0.0.1; echo '10.0.0.2 6' > dump; "
         "cat entries/10.0.0.2; echo hex > keys; cat entries/0a000002; echo number > keys; cat entries/%d" % 0x0100000a)
    m.sh("cd $M/maps/trie; echo lpm_trie > type; echo 20 > key_size; echo 8 > value_size; echo 1 > map_flags; echo 9 > max_entries; "
         "echo 5 > entries/2001:db8::_32; echo ip > keys; ls entries | grep -qx 2001:db8::_32; cat dump > $T/d; cat $T/d > dump")
    m.fails("echo ip > $M/maps/flows/keys", "Invalid argument")
    m.fails("echo btf > $M/maps/ip/keys", "Invalid argument")
    m.fails("echo words > $M/maps/ip/keys", "Invalid argument")
    assert "`number`, `hex`, `ip` or `btf`" in m.log()
    m.restart()
    assert m.read("maps", "flows", "keys") == "btf\n" and m.read("maps", "trie", "keys") == "ip\n"
    assert os.listdir(m.p("maps", "trie", "entries")) == ["2001:db8::_32"]
    m.sh("rm -r $M/maps/trie $M/maps/ip")


def test_load_directories(m):
    m.load("typed")
    m.sh("mkdir $M/progs/v2; cat $P/typed.bpf.o > $M/progs/v2/new")
    assert sorted(os.listdir(m.p("progs", "v2"))) == ["constants", "log", "maps", "new", "typed"]
    assert "flows" in os.listdir(m.p("progs", "v2", "maps")) and "flows" in os.listdir(m.p("maps"))
    old, new = m.info("progs", "typed", "info")["id"], m.info("progs", "v2", "typed", "info")["id"]
    # one line replaces what is attached
    m.sh("mkdir $M/maps/pa; cd $M/maps/pa; echo prog_array > type; echo 2 > max_entries; echo typed > entries/0; "
         "echo v2/typed > entries/0; echo progs/v2/typed > entries/1")
    assert m.read("maps", "pa", "entries", "0").split() == [new] and m.read("maps", "pa", "entries", "1").split() == [new]
    m.sh("mkdir $M/mm; ln $M/progs/typed/prog $M/mm/now; ln $M/progs/v2/typed/prog $M/mm/next; mv $M/mm/next $M/mm/now")
    # what a program uses, and who uses a map
    assert sorted(os.listdir(m.p("progs", "v2", "typed", "maps"))) == ["typed.bss", "typed.data", "typed.rodata"]
    assert m.read("progs", "v2", "typed", "maps", "typed.data", "vars", "list") == "[1,2,3,4]\n"
    assert os.readlink(m.p("progs", "v2", "typed", "maps", "typed.data")) == "../../../../progs/v2/maps/typed.data"
    assert m.read("progs", "typed", "maps", "typed.data", "info") == m.read("maps", "typed.data", "info")
    assert m.info("maps", "typed.data", "info")["used_by"] == "typed(%s)" % old
    m.restart()
    assert m.info("progs", "v2", "typed", "info")["id"] == new
    m.sh("mv $M/maps/typed.data $M/maps/moved; cat $M/progs/typed/maps/moved/info")
    # published by its name; its maps go with it wherever they are
    m.fails("mv -T $M/progs/v2/typed $M/progs/typed", "File exists")
    m.sh("rm -r $M/progs/typed; mv $M/progs/v2/typed $M/progs/typed; cat $M/progs/typed/maps/typed.data/vars/mode")
    assert m.info("progs", "typed", "info")["id"] == new and not os.path.exists(m.p("maps", "moved"))
    m.fails("rmdir $M/progs/v2", "not empty")
    m.sh("rm $M/mm/now; rm -r $M/maps/pa $M/progs/typed")
    m.wait_live(0, 0)
    assert os.listdir(m.p("progs", "v2", "maps")) == []
    m.sh("cat $P/typed.bpf.o > $M/progs/v2/new; mv $M/progs/v2/maps/flows $M/maps/mine; rm -r $M/progs/v2")
    assert sorted(os.listdir(m.p("progs"))) == ["log", "new"] and os.listdir(m.p("maps")) == []


def test_load_directories_and_their_names(m):
    m.sh("mkdir $M/progs/a")
    m.fails("mkdir $M/progs/a", "File exists")
    m.fails("mkdir '$M/progs/a b'".replace("'", '"'), "Invalid argument")
    m.fails("mkdir $M/progs/maps", "Invalid argument")
    m.fails("mkdir $M/progs/a/b", "not permitted")
    m.fails("mv $M/progs/a $M/progs/b", "not permitted")
    m.fails("ls $M/progs/a/.place", "No such file")
    m.sh("mkdir $M/progs/a/maps/flows; cd $M/progs/a/maps/flows; echo hash > type; echo 12 > key_size; echo 32 > value_size; "
         "echo 16 > max_entries")
    m.load("typed")
    m.fails("mv -T $M/progs/typed $M/progs/a", "File exists")
    m.fails("mv $M/progs/typed $M/progs/a/maps", "")
    m.sh("cat $P/typed.bpf.o > $M/progs/a/new; rm -r $M/progs/a/typed")
    assert os.listdir(m.p("progs", "a", "maps")) == ["flows"]  # it was there before
    m.sh("rm -r $M/progs/a $M/progs/typed")


def test_constants(m):
    m.sh("mkdir $M/progs/v; printf 'answer 43\n# a comment\nmode OFF\ndevice eth0\n' > $M/progs/v/constants; "
         "cat $P/typed.bpf.o > $M/progs/v/new")
    assert m.read("progs", "v", "constants") == "answer 43\nmode OFF\ndevice eth0\n"
    v = lambda s, n: m.read("progs", "v", "maps", "typed." + s, "vars", n)
    assert (v("rodata", "answer"), v("rodata", "device"), v("data", "mode")) == ("43\n", '"eth0"\n', '"OFF"\n')
    m.restart()
    m.sh("rm -r $M/progs/v/typed; echo runs 5 > $M/progs/v/constants; echo 'total {\"bytes\":0x10}' >> $M/progs/v/constants; "
         "echo answer 44 > $M/progs/v/constants; cat $P/typed.bpf.o > $M/progs/v/new")
    assert m.read("progs", "v", "constants") == 'mode OFF\ndevice eth0\nruns 5\ntotal {"bytes":0x10}\nanswer 44\n'
    assert (v("rodata", "answer"), v("bss", "runs")) == ("44\n", "5\n")
    assert json.loads(v("data", "total")) == {"packets": 1, "bytes": 16, "mode": "DROP", "note": "first"}
    m.sh("rm -r $M/progs/v/typed")
    for line, why in (("nope 3", "no variable nope"), ("answer x", "answer: \"x\" is no number"), ("mode RED", "has no RED")):
        m.sh("echo clear > $M/progs/v/constants; echo '%s' > $M/progs/v/constants" % line)
        m.fails("cat $P/typed.bpf.o > $M/progs/v/new", "")
        assert why in m.log() and why in m.read("progs", "log")
    m.sh("echo clear > $M/progs/v/constants; cat $P/typed.bpf.o > $M/progs/v/new")
    assert v("rodata", "answer") == "42\n"
    m.fails("echo answer > $M/progs/v/constants", "Invalid argument")
