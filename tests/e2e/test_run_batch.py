"""
ubpfctl run: bpf(2)'s commands on many elements, the same on the running kernel and here.
"""
from bpf2 import can_run, same_as_kernel, script

SCRIPT = r"""
def batch(cmd, fd, count, keys=None, values=None, at=None, elem_flags=0, flags=0, out=None):
    r, attr = bpf(cmd, "QQQQIIQQ", ptr(at), ptr(out), ptr(keys), ptr(values), count, fd, elem_flags, flags)
    return name(r), struct.unpack_from("<I", attr, 32)[0]

def pack(numbers, fmt):
    return buf(b"".join(struct.pack("<" + fmt, n) for n in numbers))

def walk(cmd, fd, step):
    # All pairs, and how each call ended but for how many it took.
    pairs, at, ends = [], None, set()
    for _ in range(100):
        keys, values, out = buf(b"", 4 * step), buf(b"", 8 * step), buf(b"", 8)
        r, n = batch(cmd, fd, step, keys, values, at, out=out)
        pairs += list(zip(struct.unpack_from("<%dI" % n, keys.raw), struct.unpack_from("<%dQ" % n, values.raw)))
        ends.add(r)
        if r != "ok":
            break
        at = out
    return sorted(pairs), sorted(ends)

results = []
for kind in 1, 9:  # hash, lru_hash
    fd = map_create(kind, 4, 8, 1000)
    results += [
        batch(UPDATE_BATCH, fd, 300, pack(range(300), "I"), pack(range(1000, 1300), "Q")),
        walk(LOOKUP_BATCH, fd, 64),
        batch(UPDATE_BATCH, fd, 2, pack([1, 2], "I"), pack([7, 8], "Q"), elem_flags=99),
        batch(UPDATE_BATCH, fd, 2, pack([1, 2], "I"), pack([7, 8], "Q"), flags=1),
        batch(UPDATE_BATCH, fd, 0, pack([1, 2], "I"), pack([7, 8], "Q")),
        batch(LOOKUP_BATCH, fd, 0, pack([1, 2], "I"), pack([7, 8], "Q")),
        batch(DELETE_BATCH, fd, 3, pack([5, 100000, 6], "I")),
        batch(UPDATE_BATCH, fd, 2, None, None),
        walk(LOOKUP_DELETE_BATCH, fd, 64),
        walk(LOOKUP_BATCH, fd, 64),
    ]
fd = map_create(2, 4, 8, 10)  # array
results += [
    batch(UPDATE_BATCH, fd, 10, pack(range(10), "I"), pack(range(10), "Q")),
    walk(LOOKUP_BATCH, fd, 4),
    batch(UPDATE_BATCH, fd, 2, pack([3, 10], "I"), pack([30, 100], "Q")),
    walk(LOOKUP_BATCH, fd, 100),
]
fd = map_create(1, 4, 8, 3)
results += [
    batch(UPDATE_BATCH, fd, 5, pack(range(5), "I"), pack(range(5), "Q")),
    batch(LOOKUP_BATCH, 0, 5, pack(range(5), "I"), pack(range(5), "Q")),
    batch(LOOKUP_BATCH, 999, 5, pack(range(5), "I"), pack(range(5), "Q")),
]
print(json.dumps(results))
"""


def check(results):
    assert results[0] == ["ok", 300]
    assert results[1] == [[[i, 1000 + i] for i in range(300)], ["ENOENT", "ok"]]
    assert results[6][1] == 1
    assert len(results[8][0]) == 299 and results[9] == [[], ["ENOENT"]]


def test_batches(m):
    same_as_kernel(m, SCRIPT, check)


def test_batches_of_an_ordinary_user(user_mount):
    m = user_mount.start()
    can_run(m)
    check(script(m, SCRIPT))


def test_a_large_batch(m):
    """More than the pieces in which it travels."""
    can_run(m)
    assert script(m, r"""
fd = map_create(1, 4, 64, 200000)
n = 200000
keys, values = buf(struct.pack("<%dI" % n, *range(n))), buf(bytes(64 * n))
r, attr = bpf(UPDATE_BATCH, "QQQQIIQQ", 0, 0, ptr(keys), ptr(values), n, fd, 0, 0)
done = struct.unpack_from("<I", attr, 32)[0]
keys, out = buf(b"", 4 * n), buf(b"", 8)
r2, attr = bpf(LOOKUP_BATCH, "QQQQIIQQ", 0, ptr(out), ptr(keys), ptr(values), n, fd, 0, 0)
got = struct.unpack_from("<I", attr, 32)[0]
print(json.dumps([r, done, r2 in (0, -2), got, sorted(struct.unpack("<%dI" % n, keys.raw)) == list(range(n))]))
""") == [0, 200000, True, 200000, True]
