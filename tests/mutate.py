"""
Random small changes of the source, each of which some unit test should notice.

    tests/mutate.py [-n COUNT] [-d SECONDS] [-s SEED] [-t SECONDS] [-o BUILD] [FILE...]

A mutation is one of: another relational operator, a constant one larger or smaller, a statement left out, a condition
negated. FILE: a source of engine/ or fs/ (all, unless named). It builds the test programs that touch the file (their name
is in the table below or like the file's), in a copy of the tree, and runs them, each for SECONDS (-t) at most; after
SECONDS (-d) no further mutation begins. What no test notices is printed with its line: a test is missing there, or the
change means nothing. A file whose tests fail as it is, is left out. Exit status 1: some survived.
"""
import argparse
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import time

# Which tests touch a file, where the names do not say it: the first pattern that fits. A name alone is one of tests/unit;
# the quick ones first, for what notices a change ends it.
TESTS = [
    (r"engine/map/hash/lru", "lru_list lru_hash differential/lru"),
    (r"engine/map/hash/", "hashtab htab_for_each lru_hash hashtab_recovery"),
    (r"engine/map/(types/array|mmap)", "arraymap map"),
    (r"engine/map/arena/percpu_freelist", "percpu_freelist hashtab"),
    (r"engine/map/ring/", "ringbuf perf_event_array"),
    (r"engine/map/fd/", "prog_array map_in_map prog_types cgroup_storage"),
    (r"engine/map/arena", "arena arena_sparse map hashtab_recovery"),
    (r"engine/map/spin_lock", "spin_lock map"),
    (r"engine/map/", "map map_linear map_stats engine"),
    (r"engine/run/interp|engine/insn/insn", "interp insn interp_tail_call callback stack differential/kernel"),
    (r"engine/run/(build_id|stack)", "stack stackmap perf_events differential/stack"),
    (r"engine/core/btf_info", "ioctl_prog load object_load"),
    (r"engine/(core|run)/", "run prog load source engine object_load"),
    (r"engine/(helpers|insn)/", "helpers log disasm load dynptr ringbuf differential/helpers differential/dynptr"),
    (r"engine/util/", "util log map text disasm"),
    (r"engine/cgroup/", "cgroup decide cgroup_storage link"),
    (r"engine/verifier/domain/", "tnum bounds alu jump verifier/verifier verifier/claims"),
    (r"engine/verifier/report/", "reasons verifier_log object_load load"),
    (r"engine/verifier/", "verifier/verifier verifier_walk verifier_functions reasons dynptr callback stack spin_lock "
     "verifier_work verifier_log ioctl_prog verifier/claims"),
    (r"engine/classic/", "classic_check classic_convert classic_text ubpffs_filter differential/classic"),
    (r"engine/object/", "elf reloc object_load image differential/objects differential/libbpf"),
    (r"engine/rewrite/", "rewrite callback interp_tail_call verifier_functions differential/kernel"),
    (r"engine/jit/", "jit x86_64 combine divmod jit_fold promote rmw thread execmem differential/kernel"),
    (r"engine/prog_type/skb/", "prog_types ubpffs_filter classic_convert differential/classic differential/context"),
    (r"engine/prog_type/", "prog_types verifier/verifier stack perf_event_array differential/context differential/cgroup"),
    (r"engine/", "load engine object_load ubpffs_filter"),
    (r"fs/store/", "state_tree publish recovery store_object map_owner load_dir resolve owner link once"),
    (r"fs/ioctl/", "ioctl ioctl_map ioctl_prog ioctl_object"),
    (r"fs/fuse/", "fuse deferred io ops device passthrough turns"),
    (r"fs/node/", "state_tree ops io device cancel store_object"),
    (r"fs/keeper/", "device passthrough"),
    (r"fs/work/", "worker turns deferred decide"),
    (r"fs/caller/", "caller limits resolve"),
    (r"fs/enforce/queue", "decide verdict queue_packet queue_thread queue"),
    (r"fs/enforce/", "enforce host_cgroup rules"),
    (r"fs/sources/", "source perf_events"),
    (r"fs/agent/format/", "symtab stack_msg"),
    (r"fs/agent/[a-z]+.c", "agent enforce"),
    (r"fs/lib/error", "error deferred"),
    (r"fs/lib/", "text mountinfo ops"),
    (r"fs/maps/", "text json json_parse key_text"),
]
FOLDERS = {"verifier": "verifier/test_", "differential": "differential/diff_"}
RELATIONS = ["<", "<=", ">", ">=", "==", "!="]


def tests_of(path):
    names = []
    for pattern, tests in TESTS:
        if re.match(pattern, path):
            names = tests.split()
            break
    stem = os.path.splitext(os.path.basename(path))[0]
    return [n for n in dict.fromkeys([stem] + names) if os.path.exists("tests/%s.c" % program_of(n))]


def program_of(test):
    folder, _, name = test.rpartition("/")
    return FOLDERS.get(folder, "unit/test_") + name


def code_lines(text):
    """Numbers of lines inside of functions: between a line `{` and the next line `}`; no comments, no directives."""
    inside, comment, found = False, False, []
    for n, line in enumerate(text.split("\n")):
        bare = line.strip()
        if line == "{":
            inside = True
        elif line == "}":
            inside = False
        starts = bare.startswith("/*")
        if inside and not comment and not starts and bare and bare[0] not in "#*" and line != "{":
            found.append(n)
        if starts or comment:
            comment = "*/" not in line
    return found


def mutations(line):
    """All changed forms of one line. What stands in quotes and comments is left alone."""
    hidden = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'|/\*.*?(\*/|$)', lambda m: "\0" * len(m.group()), line)
    forms = []
    for m in re.finditer(r"(?<=\s)(<=|>=|==|!=|<|>)(?=\s)", hidden):
        for other in RELATIONS:
            if other != m.group():
                forms.append(line[:m.start()] + other + line[m.end():])
    for m in re.finditer(r"(?<![\w.])(0x[0-9a-f]+|\d+)(?=[uUlL]*\b)(?!\.)", hidden):
        value = int(m.group(), 8 if re.match("0[0-7]", m.group()) else 0)
        for other in (value + 1, value - 1):
            if other >= 0:
                forms.append(line[:m.start()] + str(other) + line[m.end():])
    m = re.match(r"(\s*(?:else )?(?:if|while) \()(.*)(\)(?: \{)?)$", hidden)
    if m:
        forms.append(line[:m.end(1)] + "!(" + line[m.start(2):m.end(2)] + ")" + line[m.start(3):])
    # A whole statement; not a declaration, a jump or a part of one.
    if re.match(r"\s+(\*?[\w>.\[\]-]+( [-+|&^]?= .*|\(.*\)|\+\+|--)|[+-]{2}\w+);$", hidden):
        forms.append(re.match(r"\s*", line).group() + ";")
    return forms


def sh(args, **kwargs):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)


def compile_tests(build, tests):
    targets = ["%s/tests/%s" % (build, program_of(t)) for t in tests]
    return sh(["make", "-j2", "O=" + build] + targets).returncode == 0


def noticed_by(build, tests, seconds):
    for t in tests:
        try:
            r = sh(["%s/tests/%s" % (build, program_of(t))], stdin=subprocess.DEVNULL, timeout=seconds)
        except subprocess.TimeoutExpired:
            return t + " (hung)"
        if r.returncode or b"FAILED" in r.stdout:
            return t
    return None


def copy_tree(where):
    """The mutations are made in a copy: an interrupted run leaves the tree alone."""
    shutil.rmtree(where, ignore_errors=True)
    files = subprocess.check_output(["git", "ls-files", "-z"]).decode().split("\0")
    for f in filter(None, files):
        os.makedirs(os.path.join(where, os.path.dirname(f)), exist_ok=True)
        shutil.copy2(f, os.path.join(where, f))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-n", type=int, default=50, help="how many mutations")
    ap.add_argument("-d", type=int, default=None, help="seconds in which mutations begin")
    ap.add_argument("-s", type=int, default=None, help="seed")
    ap.add_argument("-t", type=int, default=300, help="seconds for a test program")
    ap.add_argument("-o", default="build/mutate", help="where the copy of the tree goes")
    ap.add_argument("files", nargs="*")
    args = ap.parse_args()
    seed = args.s if args.s is not None else random.randrange(1 << 31)
    rnd = random.Random(seed)
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    copy_tree(args.o)
    os.chdir(args.o)
    os.nice(10)
    files = args.files or glob.glob("engine/**/*.c", recursive=True) + glob.glob("fs/**/*.c", recursive=True)
    files = [f for f in sorted(files) if tests_of(f) and not f.endswith(".bpf.c")]
    counts = {"noticed": 0, "survived": 0, "no code": 0}
    whole, broken = set(), set()
    end = time.monotonic() + args.d if args.d else None
    print("seed %d, %d files" % (seed, len(files)), flush=True)
    for _ in range(args.n):
        if end and time.monotonic() > end:
            break
        path = rnd.choice(files)
        tests = tests_of(path)
        original = open(path).read()
        lines = original.split("\n")
        choices = [(n, form) for n in code_lines(original) for form in mutations(lines[n])]
        if not choices:
            continue
        n, form = rnd.choice(choices)
        if path not in whole | broken: # do they pass, and quickly, as they are?
            bad = not compile_tests("build", tests) and "nothing builds" or noticed_by("build", tests, args.t)
            (broken if bad else whole).add(path)
            if bad:
                print("%s: without a mutation: %s" % (path, bad), flush=True)
        if path in broken:
            continue
        open(path, "w").write("\n".join(lines[:n] + [form] + lines[n + 1:]))
        try:
            if not compile_tests("build", tests):
                counts["no code"] += 1
                continue
            by = noticed_by("build", tests, args.t)
        finally:
            open(path, "w").write(original)
        counts["noticed" if by else "survived"] += 1
        if not by:
            print("%s:%d: survived (%s)\n-%s\n+%s" % (path, n + 1, " ".join(tests), lines[n], form), flush=True)
    print(", ".join("%d %s" % (v, k) for k, v in counts.items()))
    return 1 if counts["survived"] else 0


if __name__ == "__main__":
    sys.exit(main())
