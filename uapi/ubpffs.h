/*
 * ubpffs.h - what programs say to a mounted ubpffs: one ioctl a bpf(2) command
 *
 * Let M be the mount point. A descriptor of a map's `map` file, of a program's `prog` file, of a
 * pin of either, or of ids/map/<id> and ids/prog/<id> is a map fd or a program fd; one of
 * ids/btf/<id> is a types fd; a descriptor of M/ctl makes new objects. A descriptor may be passed
 * to another process and keeps working after the name is gone.
 *
 * Every command carries one buffer: struct ubpffs_io, then the payload. The buffer's size is in the
 * ioctl number (UBPFFS_IOC()), so a buffer holds at most UBPFFS_IO_MAX bytes; a larger payload goes
 * through a transfer: UBPFFS_PUT its pieces under a number of the caller's choice, name that number
 * in `xfer` of the command (whose own payload is then empty), and UBPFFS_GET the pieces of the
 * answer. The command ends the transfer of what was put; the answer lives until UBPFFS_DROP or the
 * next command with the same number. Transfers belong to the open file.
 *
 * Commands are told apart by their number alone, never by their size. Errors are errno values,
 * those that bpf(2) gives for the same fault.
 */
#ifndef UBPFFS_H
#define UBPFFS_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <sys/ioctl.h>

struct ubpffs_io {
	__u64 flags; /* the command's flags argument: BPF_ANY, BPF_NOEXIST, ... */
	__u64 xfer; /* 0: the payload follows; else the number of a transfer */
	__u64 cursor; /* batches: 0 starts; as returned to go on */
	/*
	 * payload bytes towards the server; in an answer UBPFFS_ANSWERED, so that a failure on the
	 * way is told from one that the server gave
	 */
	__u32 in_len;
	__u32 out_len; /* in: room for the answer's payload; out: its size */
	/*
	 * batches: in: how many at most; out: how many. UBPFFS_OBJ_GET_INFO of a map: out: how many
	 * CPUs' values an element has, 0 for types that are not per CPU
	 */
	__u32 count;
	/*
	 * in answers: stands for the object behind this descriptor. In commands: what the caller
	 * believes it is, so that it may remember sizes by descriptor; ESTALE when it is another.
	 * 0: any
	 */
	__u32 stamp;
};

#define UBPFFS_ANSWERED	   0xffffffffu
#define UBPFFS_IO_MAX	   16383
#define UBPFFS_PAYLOAD_MAX (UBPFFS_IO_MAX - sizeof(struct ubpffs_io))
#define UBPFFS_XFER_MAX	   (64u << 20) /* bytes of one transfer */
#define UBPFFS_IOC_TYPE	   0xbf

/* The ioctl number of command `nr` with a buffer of `size` bytes (the header included). */
#define UBPFFS_IOC(nr, size) _IOC(_IOC_READ | _IOC_WRITE, UBPFFS_IOC_TYPE, (nr), (size))

/*
 * The commands. "in:" and "out:" are the payloads. K and V are the map's key_size and its value
 * size as bpf(2) moves it (per-CPU types: round_up(value_size, 8) for each CPU).
 */
enum ubpffs_cmd {
	/* map fd */
	UBPFFS_MAP_LOOKUP_ELEM = 1, /* in: K; of maps without keys nothing or V, which a bloom
				     * filter is asked about  out: V */
	UBPFFS_MAP_UPDATE_ELEM = 2, /* in: K V; slots of programs, maps and events take ids */
	UBPFFS_MAP_DELETE_ELEM = 3, /* in: K */
	UBPFFS_MAP_GET_NEXT_KEY = 4, /* in: K, or nothing for the first key  out: K */
	UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM = 5, /* in: K  out: V */
	UBPFFS_MAP_FREEZE = 6,
	UBPFFS_MAP_LOOKUP_BATCH = 7, /* out: count * (K V); ENOENT with the last ones */
	UBPFFS_MAP_UPDATE_BATCH = 8, /* in: count * (K V); out.count: how many were done */
	UBPFFS_MAP_DELETE_BATCH = 9, /* in: count * K */
	/* hash types: as LOOKUP_BATCH; what was given is gone */
	UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH = 10,
	/* out: struct ubpffs_map_memory. EACCES: not the server's user; EOPNOTSUPP: the type */
	UBPFFS_MAP_MEMORY = 11,

	/* program fd */
	UBPFFS_PROG_TEST_RUN = 16, /* in: struct ubpffs_prog_run, data, ctx  out: the same */
	UBPFFS_PROG_PART = 17, /* flags: enum ubpffs_prog_part  out: as much of it as has room */
	UBPFFS_PROG_BIND_MAP = 18, /* in: a map's token: it lives as long as the program */

	/* map fd, program fd, link fd */
	UBPFFS_OBJ_GET_INFO = 24, /* out: struct bpf_{map,prog,btf,link}_info, pointers 0;
				   * flags: enum ubpffs_kind */
	UBPFFS_OBJ_PIN = 25, /* in: path from M, NUL-terminated */
	UBPFFS_OBJ_TOKEN = 26, /* out: __u64 that stands for this open file in loads */
	UBPFFS_OBJ_FDINFO = 27, /* out: the lines that bpf(2)'s descriptors have in
				 * /proc/PID/fdinfo */

	/* types fd; it answers UBPFFS_OBJ_GET_INFO by struct bpf_btf_info */
	UBPFFS_BTF_DATA = 28, /* out: as much of the types as has room */

	/* link fd */
	UBPFFS_LINK_UPDATE = 29, /* in: struct ubpffs_attach; 0 for any old program */
	UBPFFS_LINK_DETACH = 30,

	/* ctl */
	UBPFFS_MAP_CREATE = 32, /* in: union bpf_attr, as much as there is; inner_map_fd and btf_fd
				 * are ids  out: __u32 id */
	UBPFFS_PROG_LOAD = 33, /* in: struct ubpffs_prog_load and what it sizes
				* out: struct ubpffs_load_result, log text; also with an error */
	/* flags: BPF_{PROG,MAP,BTF,LINK}_GET_NEXT_ID; count: the id to start after  out: __u32 */
	UBPFFS_GET_NEXT_ID = 34,
	/*
	 * in: raw BTF  out: __u32 id: open ids/btf/<id>; the ctl descriptor holds the types until
	 * it is closed or makes another object
	 */
	UBPFFS_BTF_LOAD = 35,
	/*
	 * in: the path of a program, or nothing for the server's own: the next server, which goes
	 * on with this mount, and answers. EPERM: not root's, and not the server's user;
	 * EOPNOTSUPP: there is no keeper; EPROTO: it cannot go on; EIO: it tried, and the server of
	 * before goes on
	 */
	UBPFFS_UPGRADE = 36,

	/*
	 * C/ingress.attach and C/egress.attach of a cgroup C. flags: as bpf(2)'s attach_flags;
	 * LINK_CREATE makes a link (out: __u32 id: open ids/link/<id>; the descriptor holds it
	 * until it is closed or makes another), which is attached with BPF_F_ALLOW_MULTI.
	 */
	UBPFFS_CGROUP_ATTACH = 40, /* in: struct ubpffs_attach */
	UBPFFS_CGROUP_DETACH = 41, /* in: struct ubpffs_attach; prog_id 0: the one there is */
	/* flags: BPF_F_QUERY_EFFECTIVE, or 0; there: of what is attached  count: how many there are
	 * out: struct ubpffs_attached each, as much as has room */
	UBPFFS_CGROUP_QUERY = 42,
	UBPFFS_LINK_CREATE = 43, /* in: struct ubpffs_attach */
	/*
	 * in: __u64, the kernel's id of a cgroup of the host (the inode of its directory)  out: the
	 * path from M/cgroup on of the cgroup that it mirrors (with -o enforce), NUL-terminated.
	 * ENOENT: none
	 */
	UBPFFS_CGROUP_OF_HOST = 44,

	/*
	 * M/.event: each open makes an event that programs output to, as perf_event_open(2) does
	 * for PERF_COUNT_SW_BPF_OUTPUT: an element of a perf_event_array takes its id. It is polled
	 * and mapped as one of the kernel's. Or it is one that samples, for a program. Both take
	 * PERF_EVENT_IOC_ENABLE and _DISABLE
	 */
	UBPFFS_EVENT_SETUP = 52, /* in: struct ubpffs_event; before anything else, once */
	/*
	 * in: __u64, a page and a power of two of pages, in bytes, which are mapped afterwards
	 * out: where the descriptor itself cannot be mapped, the path of a file that can
	 */
	UBPFFS_EVENT_RING = 53,
	/*
	 * of an event that samples: in: __u32, the id of a perf_event program, which runs on each
	 * sample from then on, while the event is enabled and open
	 */
	UBPFFS_EVENT_ATTACH = 54,

	/* any of them */
	UBPFFS_PUT = 48, /* in: a piece; flags: its offset in the transfer */
	UBPFFS_GET = 49, /* flags: offset  out: a piece */
	UBPFFS_DROP = 50, /* forget the transfer */
};

enum ubpffs_kind {
	UBPFFS_MAP = 1,
	UBPFFS_PROG = 2,
	UBPFFS_BTF = 3,
	UBPFFS_LINK = 4,
	UBPFFS_EVENT = 5,
};

enum ubpffs_prog_part {
	UBPFFS_PROG_MAP_IDS = 1, /* __u32 each */
	/*
	 * struct bpf_insn each; what refers to a map names its id, by BPF_PSEUDO_MAP_FD or
	 * BPF_PSEUDO_MAP_VALUE; calls of helpers name the helper
	 */
	UBPFFS_PROG_XLATED = 2,
	UBPFFS_PROG_FUNC_INFO = 3, /* struct bpf_func_info each, of what XLATED shows */
	UBPFFS_PROG_LINE_INFO = 4, /* struct bpf_line_info each, the same */
	/* for the owner and root */
	UBPFFS_PROG_JITED = 5, /* the native code */
	UBPFFS_PROG_JITED_KSYMS = 6, /* __u64 each: the address of a function in it */
	UBPFFS_PROG_JITED_FUNC_LENS = 7, /* __u32 each: its length */
	UBPFFS_PROG_JITED_LINES = 8, /* __u64 each: the address where a line of LINE_INFO begins */
	UBPFFS_PROG_IMAGE = 9, /* all that a load needs; EACCES: not the server's user's own */
};

struct ubpffs_prog_run {
	__u32 data_size_in;
	__u32 ctx_size_in;
	__u32 data_size_out; /* in: room wanted; out: size */
	__u32 ctx_size_out;
	__u32 repeat;
	__u32 flags;
	__u32 retval; /* out */
	__u32 duration; /* out: ns a run */
};

struct ubpffs_attach {
	__u32 prog_id; /* which the caller may read and write */
	__u32 old_id; /* the one that it replaces, or 0 */
};

struct ubpffs_attached {
	__u32 prog_id;
	__u32 flags;
	__u64 cgroup_id;
};

#define UBPFFS_EVENT_WATERMARK 1 /* wakeup is of bytes, not of records */
#define UBPFFS_EVENT_DISABLED  2 /* until PERF_EVENT_IOC_ENABLE */
#define UBPFFS_EVENT_FREQ      4 /* sample is a frequency, not a period */

struct ubpffs_event {
	__u32 type; /* PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT; else it samples */
	__u32 flags;
	__u64 config;
	__u32 cpu; /* 0xffffffff: all, of an event that samples */
	__u32 wakeup;
	__u64 sample_type; /* PERF_SAMPLE_RAW, with PERF_SAMPLE_TIME and PERF_SAMPLE_CPU or not */
	/* of an event that samples: a process, with its threads and children, or 0: all */
	__u32 pid;
	__u32 reserved;
	__u64 sample;
};

/* UBPFFS_OBJ_GET_INFO of an event; the id lies where maps and programs have theirs. */
struct ubpffs_event_info {
	__u32 samples; /* 1: it samples, and has no id */
	__u32 id;
};

/* Where a map's memory is, for a process that runs programs on it in itself. */
struct ubpffs_map_memory {
	__u32 rdonly; /* hash maps, and values that nobody writes any more: map it for reading */
	__u32 frozen; /* programs write them and nobody else */
	char path[120]; /* of a file: an array's values, or the whole hash map; NUL-terminated */
};

#define UBPFFS_LOG_ON_REFUSAL 16

/*
 * A program type that Linux does not have: R1 is the address of a block of memory, of as many bytes
 * as expected_attach_type says.
 */
#define UBPFFS_PROG_TYPE_RAW 0x10000u

/*
 * After the structure come, in this order and without gaps: the instructions, `map_cnt` tokens
 * (__u64), and the license, NUL-terminated. An LD_IMM64 names a map by BPF_PSEUDO_MAP_IDX or
 * BPF_PSEUDO_MAP_IDX_VALUE, imm being an index into the tokens.
 */
struct ubpffs_prog_load {
	__u32 prog_type; /* enum bpf_prog_type, UBPFFS_PROG_TYPE_RAW */
	__u32 expected_attach_type;
	__u32 insn_cnt;
	__u32 map_cnt;
	__u32 license_len; /* with its NUL */
	/* as bpf(2)'s; | UBPFFS_LOG_ON_REFUSAL: only of a program that is refused */
	__u32 log_level;
	__u32 prog_flags;
	/*
	 * Types, which the caller may read, or 0. Then struct ubpffs_load_btf follows the license,
	 * and what it counts.
	 */
	__u32 btf_id;
	char prog_name[BPF_OBJ_NAME_LEN];
};

/* Then come `func_info_cnt` struct bpf_func_info and `line_info_cnt` struct bpf_line_info. */
struct ubpffs_load_btf {
	__u32 func_info_cnt;
	__u32 line_info_cnt;
};

struct ubpffs_load_result {
	/*
	 * open ids/prog/<id>; the ctl descriptor holds the program until it is closed or makes
	 * another
	 */
	__u32 id;
	__u32 log_size; /* bytes of log text that follow, with a NUL; 0: none */
	__u32 log_true_size; /* bytes it would have had in a large enough answer */
	__u32 reserved;
};

#endif
