"""
ubpffs - eBPF maps and programs of a mounted ubpffs, in Python

    import ubpffs

    with ubpffs.serve() as m:                   # a private server; or ubpffs.Mount("/path") for one that is there
        loaded = m.load("filter.bpf.o")         # LoadError carries the verifier's log
        loaded.maps["by_port"][443] = 1         # maps are dicts
        print(loaded.progs["filter"].run(packet).retval)
        for record in loaded.maps["events"].records(timeout=1):
            ...                                 # ring buffers are iterators of bytes

Keys and values of 1, 2, 4 or 8 bytes are unsigned numbers, others are bytes; map.key_format and map.value_format (of the
module struct) make them tuples or numbers of another kind. A value of a per-CPU map is a list, one for each CPU. Errors are
OSError with bpf(2)'s errno; a key that is not there is KeyError.

It stands on the client library (libubpffs-client.so, or what $UBPFFS_CLIENT names) and on the mount's files, and needs no root.
pytest has the fixture `ubpffs_mount` when it is told `-p ubpffs.pytest_plugin`.
"""
import collections
import collections.abc
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import weakref

__all__ = ["Link", "LoadError", "Map", "Mount", "Program", "Run", "serve"]

RINGBUF = 27
_PERCPU = (5, 6, 10, 21)  # percpu_hash, percpu_array, lru_percpu_hash, percpu_cgroup_storage


def _library():
    lib = ctypes.CDLL(os.environ.get("UBPFFS_CLIENT", "libubpffs-client.so.0"), use_errno=True)
    lib.ubpfc_ring_open.restype = ctypes.c_void_p
    for name in "ubpfc_ring_close", "ubpfc_ring_consume", "ubpfc_ring_wait":
        getattr(lib, name).argtypes = [ctypes.c_void_p] + ([_RING_FN, ctypes.c_void_p] if "consume" in name else
                                                           [ctypes.c_int] if "wait" in name else [])
    lib.ubpfc_ring_consume.restype = ctypes.c_long
    lib.ubpfc_update_elem.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulonglong]
    return lib


_RING_FN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t)
_lib = None


def _call(name, *args):
    """A function of the client library: its result, or OSError."""
    global _lib
    if _lib is None:
        _lib = _library()
    ctypes.set_errno(0)
    ret = getattr(_lib, name)(*args)
    if ret is None or ret == -1:  # NULL, or -1
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return ret


def _c_path(path):
    """A path as the client library takes it: any bytes but NUL, at which it would end."""
    path = os.fsencode(path)
    if b"\0" in path:
        raise ValueError("a path has no null bytes: %r" % path)
    return path


class LoadError(Exception):
    """A load was refused: errno, and in `log` the report with the reason, the source line and the verifier's log."""

    def __init__(self, err, log):
        super().__init__("%s\n%s" % (os.strerror(err), log))
        self.errno = err
        self.log = log


class _Object:
    def __init__(self, fd):
        self.fd = fd

    def fileno(self):
        return self.fd

    def close(self):
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        with contextlib.suppress(OSError):  # its server is gone
            self.close()

    def _info(self, size):
        room = ctypes.create_string_buffer(size)
        _call("ubpfc_obj_get_info_by_fd", self.fd, room, ctypes.byref(ctypes.c_uint(size)))
        return room.raw


class Map(_Object, collections.abc.MutableMapping):
    """A map by its descriptor, which it closes."""

    def __init__(self, fd):
        super().__init__(fd)
        (self.type, self.id, self.key_size, self.value_size, self.max_entries, self.flags,
         name) = struct.unpack_from("=IIIIII16s", self._info(80))
        self.name = name.split(b"\0")[0].decode()
        self.key_format = self.value_format = None
        with open("/sys/devices/system/cpu/possible") as f:
            last = f.read().strip().split(",")[-1].split("-")[-1]
        self._cpus = int(last) + 1 if self.type in _PERCPU else 0

    def _pack(self, what, size, fmt, thing):
        if fmt:
            thing = struct.pack("=" + fmt, *(thing if isinstance(thing, (tuple, list)) else (thing,)))
        elif isinstance(thing, int):
            thing = thing.to_bytes(size, "little" if struct.pack("=H", 1)[0] else "big")
        thing = bytes(thing)
        if len(thing) != size:
            raise ValueError("the %s of map %s has %d bytes, not %d" % (what, self.name, size, len(thing)))
        return thing

    @staticmethod
    def _unpack(size, fmt, data):
        if fmt:
            fields = struct.unpack_from("=" + fmt, data)
            return fields[0] if len(fields) == 1 else fields
        if size in (1, 2, 4, 8):
            return struct.unpack("=" + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], data)[0]
        return bytes(data)

    def _key(self, key):
        return self._pack("key", self.key_size, self.key_format, key)

    def _room(self):
        return (self.value_size + 7) // 8 * 8 * self._cpus if self._cpus else self.value_size

    def _to_value(self, value):
        if not self._cpus:
            return self._pack("value", self.value_size, self.value_format, value)
        values = value if isinstance(value, list) else [value] * self._cpus
        if len(values) != self._cpus:
            raise ValueError("map %s has %d CPUs, not %d" % (self.name, self._cpus, len(values)))
        each = self._room() // self._cpus
        return b"".join(self._pack("value", self.value_size, self.value_format, v).ljust(each, b"\0") for v in values)

    def _from_value(self, data):
        if not self._cpus:
            return self._unpack(self.value_size, self.value_format, data)
        each = self._room() // self._cpus
        return [self._unpack(self.value_size, self.value_format, data[i * each:i * each + self.value_size])
                for i in range(self._cpus)]

    def __getitem__(self, key):
        value = ctypes.create_string_buffer(max(self._room(), 1))
        try:
            _call("ubpfc_lookup_elem", self.fd, self._key(key), value)
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise KeyError(key) from None
            raise
        return self._from_value(value.raw[:self._room()])

    def update(self, key, value, flags=0):  # pylint: disable=arguments-differ
        """With flags of bpf(2): 1 is BPF_NOEXIST, 2 BPF_EXIST."""
        _call("ubpfc_update_elem", self.fd, self._key(key), self._to_value(value), flags)

    def __setitem__(self, key, value):
        self.update(key, value)

    def __delitem__(self, key):
        try:
            _call("ubpfc_delete_elem", self.fd, self._key(key))
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise KeyError(key) from None
            raise

    def __iter__(self):
        """Every key that lives through the walk, once."""
        for key, _ in self._pairs():
            yield key

    def items(self):
        return self._pairs()

    def values(self):
        return (value for _, value in self._pairs())

    def __len__(self):
        return sum(1 for _ in self._pairs())

    def __contains__(self, key):
        try:
            self[key]
        except KeyError:
            return False
        return True

    def __eq__(self, other):
        return self is other or (isinstance(other, collections.abc.Mapping) and dict(self.items()) == dict(other.items()))

    __hash__ = object.__hash__

    def _pairs(self):
        step = max(1, min(1024, (1 << 20) // max(self.key_size + self._room(), 1)))
        cursor, last = ctypes.c_ulonglong(0), False
        keys, values = ctypes.create_string_buffer(step * self.key_size), ctypes.create_string_buffer(step * self._room())
        while not last:
            count = ctypes.c_uint(step)
            try:
                _call("ubpfc_lookup_batch", self.fd, ctypes.byref(cursor), keys, values, ctypes.byref(count))
            except OSError as e:
                if e.errno != errno.ENOENT:
                    raise
                last = True
            for i in range(count.value):
                yield (self._unpack(self.key_size, self.key_format, keys.raw[i * self.key_size:(i + 1) * self.key_size]),
                       self._from_value(values.raw[i * self._room():(i + 1) * self._room()]))

    # ---- maps without keys

    def push(self, value):
        _call("ubpfc_update_elem", self.fd, None, self._to_value(value), 0)

    def pop_value(self):
        """The next value of a queue or stack; IndexError when there is none."""
        value = ctypes.create_string_buffer(max(self.value_size, 1))
        try:
            _call("ubpfc_lookup_and_delete_elem", self.fd, None, value)
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise IndexError("map %s is empty" % self.name) from None
            raise
        return self._from_value(value.raw[:self.value_size])

    def records(self, timeout=None):
        """The records of a ring buffer, as bytes, until none has come for `timeout` seconds (None: for ever)."""
        if self.type != RINGBUF:
            raise TypeError("map %s is no ring buffer" % self.name)
        ring = _call("ubpfc_ring_open", self.fd)
        got = []
        take = _RING_FN(lambda ctx, data, size: (got.append(data[:size]), int(len(got) >= 256))[1])
        try:
            while True:
                _call("ubpfc_ring_consume", ring, take, None)
                if not got and not _call("ubpfc_ring_wait", ring, -1 if timeout is None else int(timeout * 1000)):
                    return
                while got:
                    yield got.pop(0)
        finally:
            _lib.ubpfc_ring_close(ring)

    def freeze(self):
        _call("ubpfc_freeze_map", self.fd)


class Link(_Object):
    """A program on a cgroup, by the link's descriptor, which it closes: with Mount.pin() it stays."""

    def update(self, prog, old=None):
        """Another program takes the place of its own, which has to be `old` if that is said."""
        _call("ubpfc_link_update", self.fd, prog.fd, old.fd if old else -1)

    def detach(self):
        _call("ubpfc_link_detach", self.fd)


Run = collections.namedtuple("Run", "retval data duration_ns")


class Program(_Object):
    """A program by its descriptor, which it closes."""

    def __init__(self, fd, path=None):
        super().__init__(fd)
        info = self._info(232)
        self.type, self.id = struct.unpack_from("=II", info)
        self.name = struct.unpack_from("=16s", info, 64)[0].split(b"\0")[0].decode()
        self.path = path

    def run(self, data, repeat=1, room=65536):
        """A test run on these bytes: what it returned, the packet after it, nanoseconds a run."""
        data, out = bytes(data), ctypes.create_string_buffer(room)
        size, retval, duration = ctypes.c_uint(room), ctypes.c_uint(), ctypes.c_uint()
        _call("ubpfc_prog_test_run", self.fd, repeat, data, len(data), out, ctypes.byref(size), ctypes.byref(retval),
              ctypes.byref(duration))
        return Run(retval.value, out.raw[:size.value], duration.value)

    def attach(self, cgroup, direction="egress"):
        """
        Effective for a cgroup, the path of a directory of M/cgroup, and for those below, until the Link that this
        returns is closed; a pin of it stays.
        """
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return Link(_call("ubpfc_link_create", self.fd, fd, {"ingress": 0, "egress": 1}[direction]))
        finally:
            os.close(fd)

    def bind(self, map):  # pylint: disable=redefined-builtin
        """The map lives as long as the program."""
        _call("ubpfc_prog_bind_map", self.fd, map.fd)

    @property
    def log(self):
        """The verifier's log, made when it is asked for."""
        if not self.path:
            raise ValueError("program %d has no name in progs/" % self.id)
        with open(os.path.join(self.path, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()


Loaded = collections.namedtuple("Loaded", "progs maps")


class Mount:
    """A mounted ubpffs. One process uses one mount at a time: the last that was made or used()."""

    def __init__(self, path):
        self.path = os.path.abspath(os.fsdecode(path))
        self._given = weakref.WeakSet()
        self.use()

    def close(self):
        """Close every map and program that it has given, so that nothing of it is in use any more."""
        for thing in list(self._given):
            with contextlib.suppress(OSError):
                thing.close()

    def _give(self, thing):
        self._given.add(thing)
        return thing

    def use(self):
        _call("ubpfc_mount", _c_path(self.path))
        return self

    def load(self, what, type=None):
        """
        Load an object (a path, or its bytes), whole or not at all: its programs and maps by name. LoadError when it is
        refused. type: of programs whose SEC() names none.
        """
        if not isinstance(what, (bytes, bytearray)):
            with open(what, "rb") as f:
                what = f.read()
        if type:
            what = b"type %s\n" % type.encode() + what
        fd = os.open(os.path.join(self.path, "progs/new"), os.O_WRONLY)
        try:
            while what:
                what = what[os.write(fd, what):]
        except OSError as e:
            raise LoadError(e.errno, self._report()) from None
        finally:
            os.close(fd)
        names = [line.split()[:2] for line in self._report().splitlines() if line.startswith(("prog: ", "map: "))]
        return Loaded({os.path.basename(p): self.prog(p) for kind, p in names if kind == "prog:"},
                      {os.path.basename(p): self.map(p) for kind, p in names if kind == "map:"})

    def _report(self):
        with open(os.path.join(self.path, "progs/log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def _open(self, path, directory, name):
        path = os.fsdecode(path)
        at = path if "/" in path else directory + "/" + path
        full = os.path.join(self.path, at)
        if os.path.isdir(full):
            return os.open(os.path.join(full, name), os.O_RDWR), full
        return os.open(full, os.O_RDWR), None

    def map(self, name):
        """By its name in maps/, or the path of a pin."""
        return self._give(Map(self._open(name, "maps", "map")[0]))

    def prog(self, name):
        """By its name in progs/, or the path of a pin."""
        return self._give(Program(*self._open(name, "progs", "prog")))

    def create_map(self, type, key_size, value_size, max_entries, flags=0):  # pylint: disable=redefined-builtin
        """A map without a name, which lives as long as this object, a pin or a program has it. type: bpf(2)'s number."""
        self.use()
        return self._give(Map(_call("ubpfc_create_map", type, key_size, value_size, max_entries, flags)))

    def pin(self, thing, path):
        self.use()
        _call("ubpfc_obj_pin", thing.fd, _c_path(path))


@contextlib.contextmanager
def serve(*options, server=None, timeout=20):
    """
    A private server on a directory of its own, as this user; taken away at the end with all that it holds. options: as of
    ubpffs -o. server: the program (default: $UBPFFS_SERVER, then ubpffs).
    """
    base = tempfile.mkdtemp(prefix="ubpffs-")
    path, state = os.path.join(base, "m"), os.path.join(base, "state")
    os.mkdir(path)
    argv = [server or os.environ.get("UBPFFS_SERVER", "ubpffs"), "-f", "-o", ",".join(("state=" + state,) + options), path]
    before, mount = os.stat(path).st_dev, None
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as p:
        try:
            end = time.monotonic() + timeout
            while os.stat(path).st_dev == before:
                if p.poll() is not None or time.monotonic() > end:
                    p.kill()
                    raise RuntimeError("ubpffs does not serve: " + p.stderr.read())
                time.sleep(0.01)
            mount = Mount(path)
            yield mount
        finally:
            if mount:
                mount.close()
            with contextlib.suppress(OSError):
                _call("ubpfc_mount", None)
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
                try:
                    p.wait(timeout)
                except subprocess.TimeoutExpired:
                    p.kill()
            p.stderr.close()
            if os.path.ismount(path):
                subprocess.run(["fusermount3", "-u", "-z", path], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(base, ignore_errors=True)
