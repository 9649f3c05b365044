/*
 * quick.c - see quick.h
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "tools/run/caller/run.h"
#include "tools/run/caller/trace.h"
#include "tools/run/commands/map.h"
#include "tools/run/commands/object.h"
#include "tools/run/quick.h"

#define ROOM 4096u /* bytes of a key and a value; more goes the usual way */

static const struct quick {
	unsigned int twin; /* of uapi/ubpffs.h; 0: not here */
	size_t end; /* of its last field */
	bool writes, gives_key;
} commands[] = {
#define UP_TO(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)0)->field))
	[BPF_MAP_LOOKUP_ELEM] = {UBPFFS_MAP_LOOKUP_ELEM, UP_TO(flags), false, false},
	[BPF_MAP_UPDATE_ELEM] = {UBPFFS_MAP_UPDATE_ELEM, UP_TO(flags), true, false},
	[BPF_MAP_DELETE_ELEM] = {UBPFFS_MAP_DELETE_ELEM, UP_TO(key), false, false},
	[BPF_MAP_GET_NEXT_KEY] = {UBPFFS_MAP_GET_NEXT_KEY, UP_TO(next_key), false, true},
};

/* ---- maps that this thread has met, by the inode that their file shows */

#define KNOWN 64

struct known {
	uint64_t ino; /* 0: none */
	uint32_t stamp, key, value;
};
static __thread struct known known[KNOWN];

static bool is_plain(const struct object *map)
{
	return map->kind == UBPFFS_MAP && !map->cpus && !map_slot_kind(map) && map->map.key_size &&
	       map->map.key_size + (uint64_t)map->map.value_size <= ROOM;
}

static const struct known *learn(int fd, struct known *k, uint64_t ino)
{
	struct object map = {.fd = fd};
	struct ubpffs_io io = {.out_len = sizeof(map.prog)};

	k->ino = 0;
	if (mount_command(fd, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &map.prog))
		return NULL;
	map.kind = io.flags;
	map.cpus = io.count;
	if (!is_plain(&map))
		return NULL;
	*k = (struct known){ino, io.stamp, map.map.key_size, map.map.value_size};
	return k;
}

/* What a descriptor of ours is of, without asking whose file it is; NULL: nothing for here. */
static const struct known *recall(int fd, bool anew)
{
	struct statx st;
	struct known *k;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_TYPE, &st) ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != run_mount.dev || !S_ISREG(st.stx_mode))
		return NULL;
	k = &known[st.stx_ino % KNOWN];
	return k->ino == st.stx_ino && !anew ? k : learn(fd, k, st.stx_ino);
}

/* ---- the call */

static long run(struct caller *c, const struct quick *q, const union bpf_attr *attr, int fd,
		const struct known *map)
{
	bool next = q->gives_key, first = next && !attr->key;
	struct ubpffs_io io = {.stamp = map->stamp};
	char in[ROOM], out[ROOM];
	size_t len = first ? 0 : map->key, got;
	long err;

	if (CALLER_ARG(c, 0) == BPF_MAP_LOOKUP_ELEM || q->writes)
		io.flags = attr->flags;
	err = caller_read(c, attr->key, in, len);
	if (!err && q->writes) {
		err = caller_read(c, attr->value, in + len, map->value);
		len += map->value;
	}
	got = io.out_len = next					     ? map->key
			   : CALLER_ARG(c, 0) == BPF_MAP_LOOKUP_ELEM ? map->value
								     : 0;
	if (!err)
		err = mount_command(fd, q->twin, &io, in, len, out);
	if (!err && got)
		err = io.out_len == got
			      ? caller_write(c, next ? attr->next_key : attr->value, out, got)
			      : -EIO;
	return err;
}

static bool attr_of(struct caller *c, const struct quick *q, union bpf_attr *attr)
{
	char bytes[sizeof(*attr)] = {0};
	uint64_t size = CALLER_ARG(c, 2);

	if (size > sizeof(bytes) || caller_read(c, CALLER_ARG(c, 1), bytes, size))
		return false;
	for (size_t i = q->end; i < size; i++)
		if (bytes[i])
			return false;
	memset(attr, 0, sizeof(*attr));
	memcpy(attr, bytes, q->end);
	return true;
}

bool run_quick(struct caller *c)
{
	const struct quick *q;
	const struct known *map;
	union bpf_attr attr;
	long ret;
	int fd;

	if (CALLER_ARG(c, 0) >= sizeof(commands) / sizeof(commands[0]))
		return false;
	q = &commands[CALLER_ARG(c, 0)];
	if (!q->twin || !attr_of(c, q, &attr))
		return false;
	fd = caller_fd(c, attr.map_fd);
	if (fd < 0)
		return false;
	map = recall(fd, false);
	/* Its thread may be somebody else by the time of the answer: see caller_write(). */
	if (!map || caller_hold_memory(c)) {
		close(fd);
		return false;
	}
	ret = run(c, q, &attr, fd, map);
	if (ret == -ESTALE) {
		map = recall(fd, true);
		ret = map ? run(c, q, &attr, fd, map) : -EBADF;
	}
	close(fd);
	run_trace_bpf(c->tid, CALLER_ARG(c, 0), &attr, CALLER_ARG(c, 2), ret);
	caller_answer(c, ret);
	return true;
}
