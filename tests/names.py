"""
What comments and documents name is there: a function written `name()`, and a file. In docs/architecture.md also every
folder of the tables, and each folder that is there has its row. Prints each fault; exit status 1 when there are some.
"""
import os
import re
import subprocess
import sys

DOCS = ("docs/architecture.md", "CONTRIBUTING.md", "README.md", "docs/decisions.md", "docs/security.md",
        "docs/performance.md", "docs/configurations.md", "docs/reference.md")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
FUNCTION = re.compile(r"\b([A-Za-z_]\w*)\(\)")
FILE = re.compile(r"(?<![\w/.<*%$-])([A-Za-z_][\w/]*\.(?:c|h|py))\b(?![\w(])")
# Whose they are, where they are not ours.
ELSEWHERE = {
    "Linux": ("bpf_ksym_exists check_btf_func check_btf_line bpf_skb_ecn_set_ce array_map_mmap ringbuf_map_mmap_kern "
              "bpf_dump_raw_ok bpf_get_smp_processor_id bpf_link_show_fdinfo bpf_cgroup_link_show_fdinfo "
              "bpf_map_show_fdinfo bpf_prog_show_fdinfo "
              "kernel/bpf/cgroup.c kernel/bpf/disasm.c kernel/bpf/tnum.c include/linux/bpf.h "
              "include/linux/bpf_verifier.h linux/filter.h").split(),
    "libraries": ["cmocka.h", "__ulong"],
    "made": ["vmlinux.h"],
    "examples": ["count.c", "tests/e2e/test_X.py"],
}


def main():
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    files = [f for f in files if os.path.exists(f)]
    code, texts, known = set(), {}, {name for names in ELSEWHERE.values() for name in names}
    for f in files:
        known.update(f[i:] for i in range(len(f)) if not i or f[i - 1] == "/")
        if f.endswith((".c", ".h")):
            text = open(f, errors="replace").read()
            texts[f] = " ".join(COMMENT.findall(text))
            code.update(re.findall(r"[A-Za-z_]\w*", STRING.sub(" ", COMMENT.sub(" ", text))))
    texts.update((f, open(f).read()) for f in DOCS)
    bad = []
    for f, text in texts.items():
        bad += [f"{f}: there is no {name}()" for name in sorted(set(FUNCTION.findall(text)) - code - known)]
        bad += [f"{f}: there is no file {name}" for name in sorted(set(FILE.findall(text)) - known)
                if not name.endswith(".bpf.c")]
    bad += tables(files)
    print("\n".join(bad), end="\n" if bad else "")
    return bool(bad)


def tables(files):
    """docs/architecture.md: each folder of these has a row, and what a row names is in its folders."""
    bad, base, seen = [], None, {"fs": set(), "engine": set(), "engine/verifier": set(), "tools": set()}
    for line in open("docs/architecture.md"):
        cells = line.split("|")
        if not line.startswith("|"):
            base = None
        elif cells[1].strip().startswith("folder"):
            of = re.search(r"`(.*)/`", cells[1])
            base = {None: "engine", "fs": "fs", "tools": "tools", "verifier": "engine/verifier"}[of and of.group(1)]
        elif base:
            names = re.findall(r"`([\w./]+)`", cells[1])
            folders = [os.path.join(base, name) for name in names if name.endswith("/")]
            seen[base].update(folder.split("/")[base.count("/") + 1] for folder in folders)
            names += re.findall(r"`([\w./]+)`", cells[2])
            within = [f for f in files if f.startswith(tuple(folders) if folders else base + "/")]
            within += [f for f in files if f.startswith(base + "/") and os.path.dirname(f) == base]
            parts = {part for f in within for part in f.split("/")}
            parts |= {os.path.splitext(os.path.basename(f))[0] for f in within}
            bad += [f"docs/architecture.md: {base} has no {name}" for name in names
                    if not set(name.strip("/").split("/")) <= parts]
    for base, rows in seen.items():
        below = [f[len(base) + 1:].split("/") for f in files if f.startswith(base + "/")]
        there = {path[0] for path in below if len(path) > 1}
        bad += [f"docs/architecture.md: no row for {base}/{name}/" for name in sorted(there - rows)]
    return bad


if __name__ == "__main__":
    sys.exit(main())
