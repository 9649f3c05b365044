"""
The ioctls of uapi/ubpffs.h by hand, for tests that say what the library would not: lengths that lie, other rights.

    fd = os.open(m.p("maps", "x", "map"), os.O_RDWR)
    value = call(fd, MAP_LOOKUP_ELEM, key(1), room=8)

call() returns the answer's payload, and raises OSError with the errno.
"""
import fcntl
import os
import struct

MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY, MAP_LOOKUP_AND_DELETE_ELEM = range(1, 6)
MAP_FREEZE, MAP_LOOKUP_BATCH, MAP_UPDATE_BATCH, MAP_DELETE_BATCH, MAP_LOOKUP_AND_DELETE_BATCH = range(6, 11)
PROG_TEST_RUN, PROG_PART, PROG_BIND_MAP = range(16, 19)
OBJ_GET_INFO, OBJ_PIN, OBJ_TOKEN, OBJ_FDINFO, BTF_DATA = range(24, 29)
MAP_CREATE, PROG_LOAD, GET_NEXT_ID, BTF_LOAD = range(32, 36)
PUT, GET, DROP = range(48, 51)
COMMANDS = (*range(1, 11), *range(16, 20), *range(24, 31), *range(32, 46), 48, 49, 50, 52, 53, 54)  # and free ones between

HASH, ARRAY, PROG_ARRAY, ARRAY_OF_MAPS, QUEUE, RINGBUF = 1, 2, 3, 12, 22, 27
SOCKET_FILTER = 1
IO = struct.Struct("=QQQIIII")
IO_MAX = 16383


def ioc(nr, size):
    return 3 << 30 | size << 16 | 0xbf << 8 | nr


def raw(fd, nr, payload, size, flags=0, xfer=0, cursor=0, in_len=0, out_len=0, count=0, stamp=0):
    """A buffer of `size` payload bytes with a header that may lie. The buffer as it came back."""
    buf = bytearray(IO.pack(flags, xfer, cursor, in_len, out_len, count, stamp) + payload[:size].ljust(size, b"\0"))
    fcntl.ioctl(fd, ioc(nr, len(buf)), buf, True)
    return buf


def call(fd, nr, payload=b"", room=0, **header):
    buf = raw(fd, nr, payload, max(len(payload), room), in_len=len(payload), out_len=room, **header)
    answered = IO.unpack_from(buf)[4]
    return bytes(buf[IO.size:IO.size + answered])


def key(n):
    return struct.pack("=I", n)


def value(n):
    return struct.pack("=Q", n)


def map_create(ctl, type, key_size, value_size, max_entries, flags=0, inner=0, name=b""):
    attr = struct.pack("=7I16s", type, key_size, value_size, max_entries, flags, inner, 0, name)
    return struct.unpack("=I", call(ctl, MAP_CREATE, attr, 4))[0]


def token(fd):
    return struct.unpack("=Q", call(fd, OBJ_TOKEN, room=8))[0]


def test_run(fd, packet=bytes(64)):
    return call(fd, PROG_TEST_RUN, struct.pack("=8I", len(packet), 0, len(packet), 0, 1, 0, 0, 0) + packet,
                room=32 + len(packet))


def prog_load(ctl, insns, tokens=(), prog_type=SOCKET_FILTER, license=b"GPL\0", name=b"", room=8192):
    """The new program's id; OSError when it is refused."""
    load = struct.pack("=8I16s", prog_type, 0, len(insns) // 8, len(tokens), len(license), 1, 0, 0, name)
    answer = call(ctl, PROG_LOAD, load + insns + b"".join(struct.pack("=Q", t) for t in tokens) + license, room)
    return struct.unpack_from("=I", answer)[0]


def insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


def ld_map(reg, index, value_off=None):
    """BPF_PSEUDO_MAP_IDX, or BPF_PSEUDO_MAP_IDX_VALUE with an offset."""
    return insn(0x18, reg, 5 if value_off is None else 6, 0, index) + insn(0, imm=value_off or 0)


EXIT = insn(0xb7) + insn(0x95)


def call_helper(helper, *args):
    """r1 = ...: what each argument does, then the call."""
    return b"".join(args) + insn(0x85, imm=helper)


def stack_pointer(reg, off):
    return insn(0xbf, reg, 10) + insn(0x07, reg, imm=off)


def key_on_stack(n=0):
    return insn(0x62, 10, 0, -4, n)


def reading(index=0):
    """A lookup, and a load through its result."""
    return (key_on_stack() + call_helper(1, ld_map(1, index), stack_pointer(2, -4)) + insn(0x15, 0, 0, 1) +
            insn(0x79, 1, 0) + EXIT)


def storing(index=0):
    """A lookup, and a store through its result."""
    return (key_on_stack() + call_helper(1, ld_map(1, index), stack_pointer(2, -4)) + insn(0x15, 0, 0, 1) +
            insn(0x7a, 0, 0, 0, 0x4141) + EXIT)


def updating(index=0, helper=2):
    """bpf_map_update_elem, or delete (3)."""
    return (key_on_stack() + insn(0x7a, 10, 0, -16, 0x4141) +
            call_helper(helper, ld_map(1, index), stack_pointer(2, -4), stack_pointer(3, -16), insn(0xb7, 4)) + EXIT)


def open_id(m, kind, number, flags=os.O_RDWR):
    return os.open(m.p("ids", kind, str(number)), flags)
