"""
Who may include whom: no circles between units (a .c and its .h), and arrows between folders only where a line of
tests/includes.txt allows them. A header declares functions of two .c files at most, and a folder has fifteen files at
most. Prints each fault; exit status 1 when there are some.

includes.txt: `folder: folder folder ...`, what may be included; a folder's own files always may. `*` as the last folder
stands for everything on the lines below it.
"""
import os
import re
import subprocess
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
TOPS = ("engine/", "fs/", "local/", "uapi/", "tools/")


def resolve(path, name, files):
    for base in (os.path.dirname(path), "", "engine"):
        candidate = os.path.normpath(os.path.join(base, name))
        if candidate in files:
            return candidate
    return None


def circles(edges):
    """Strongly connected components of more than one unit (Tarjan, without recursion)."""
    index, low, stack, on, found, n = {}, {}, [], set(), [], 0
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = n = n + 1
        stack.append(root)
        on.add(root)
        while work:
            u, it = work[-1]
            for v in it:
                if v not in index:
                    index[v] = low[v] = n = n + 1
                    stack.append(v)
                    on.add(v)
                    work.append((v, iter(edges.get(v, ()))))
                    break
                if v in on:
                    low[u] = min(low[u], index[v])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[u])
                if low[u] == index[u]:
                    group = []
                    while not group or group[-1] != u:
                        group.append(stack.pop())
                        on.discard(group[-1])
                    if len(group) > 1:
                        found.append(sorted(group))
    return found


def rules():
    lines = [line.split("#")[0].strip() for line in open("tests/includes.txt")]
    lines = [line.split(":") for line in lines if line]
    order = [folder.strip() for folder, _ in lines]
    allowed = {}
    for i, (folder, rest) in enumerate(lines):
        words = rest.split()
        below = order[i + 1:] if words and words[-1] == "*" else []
        allowed[folder.strip()] = {folder.strip(), *words, *below}
    return allowed


# Headers that declare for more files, and why they may.
MANY = {
    "uapi/ubpffs_client.h": "the library's public header",
    "tools/lib/commands.h": "a list: one line a subcommand",
}
FOLDER_MAX = 15
COMMENT = re.compile(r"/\*.*?\*/", re.S)
# At the left margin, up to the bracket of its arguments.
FUNCTION = re.compile(r"^(?!static\b|typedef\b|extern\b|#)[A-Za-z_][\w \t*]*?\b(\w+)\(", re.M)


def declared_for(files):
    """header: the .c files that define what it declares"""
    defined, found = {}, {}
    for f in files:
        if f.endswith(".c"):
            for m in FUNCTION.finditer(COMMENT.sub("", open(f).read())):
                defined.setdefault(m.group(1), set()).add(f)
    for f in files:
        if f.endswith(".h"):
            names = {m.group(1) for m in FUNCTION.finditer(COMMENT.sub("", open(f).read()))}
            found[f] = {c for name in names for c in defined.get(name, ()) if len(defined[name]) == 1}
    return found


def sizes(files):
    """Headers and folders that are too large: how many are."""
    bad, folders = 0, {}
    for header, sources in sorted(declared_for(files).items()):
        if len(sources) > 2 and header not in MANY:
            print("%s declares for %d files: %s" % (header, len(sources), " ".join(sorted(sources))))
            bad += 1
    for f in files:
        folders[os.path.dirname(f)] = folders.get(os.path.dirname(f), 0) + 1
    for folder, n in sorted(folders.items()):
        if n > FOLDER_MAX:
            print("%s: %d files" % (folder, n))
            bad += 1
    return bad


def main():
    files = set(subprocess.run(["git", "ls-files", "-c", "-o", "--exclude-standard", "*.c", "*.h"],
                               capture_output=True, text=True, check=True).stdout.split())
    files = {f for f in files if f.startswith(TOPS) and not f.endswith(".bpf.c") and os.path.exists(f)}
    allowed, edges, bad = rules(), {}, 0
    for f in sorted(files):
        unit, folder = f[:-2], os.path.dirname(f)
        edges.setdefault(unit, set())
        if folder not in allowed:
            print("%s: the folder has no line in tests/includes.txt" % f)
            bad += 1
            continue
        for name in INCLUDE.findall(open(f).read()):
            to = resolve(f, name, files)
            if to is None:
                continue
            if to[:-2] != unit:
                edges[unit].add(to[:-2])
            if os.path.dirname(to) not in allowed[folder]:
                print("%s includes %s: no arrow from %s to %s" % (f, to, folder, os.path.dirname(to)))
                bad += 1
    for group in circles(edges):
        print("a circle: " + " ".join(group))
        bad += 1
    bad += sizes(files)
    return 1 if bad else 0


sys.exit(main())
