/*
 * client.c - the mini client library: builds a command's buffer, makes the ioctl, takes the answer
 * apart
 *
 * What is kept between calls: per map fd the sizes of its key and value with the map's stamp. The
 * server checks the stamp, so a descriptor number that was reused is noticed (ESTALE) and looked up
 * again; nothing here can be out of date unseen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "uapi/client_mount.h"
#include "uapi/ubpffs_client.h"
#include "uapi/ubpffs.h"

#define KNOWN_FDS 1024

EXPORT __thread char ubpfc_log_buf[UBPFC_LOG_SIZE];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known_map {
	uint32_t stamp; /* 0: not known */
	uint32_t key_size, value_size; /* value_size as bpf(2) moves it */
} known[KNOWN_FDS]; /* by fd; under `lock` */

/* ---- one command */

struct piece {
	const void *data;
	size_t len;
};

/* Send or fetch a large payload in pieces. */
static int transfer(int fd, unsigned int cmd, uint64_t xfer, char *data, size_t len)
{
	union {
		struct ubpffs_io io;
		char bytes[UBPFFS_IO_MAX];
	} buf;
	size_t off, n;

	for (off = 0; off < len; off += n) {
		n = len - off < UBPFFS_PAYLOAD_MAX ? len - off : UBPFFS_PAYLOAD_MAX;
		memset(&buf.io, 0, sizeof(buf.io));
		buf.io.xfer = xfer;
		buf.io.flags = off;
		if (cmd == UBPFFS_PUT) {
			buf.io.in_len = n;
			memcpy(&buf.io + 1, data + off, n);
		} else {
			buf.io.out_len = n;
		}
		if (ioctl(fd, UBPFFS_IOC(cmd, sizeof(buf.io) + n), &buf) < 0)
			return -1;
		if (cmd == UBPFFS_GET)
			memcpy(data + off, &buf.io + 1, n);
	}
	return 0;
}

static int drop(int fd, uint64_t xfer)
{
	struct ubpffs_io io = {.xfer = xfer};
	int saved = errno;

	ioctl(fd, UBPFFS_IOC(UBPFFS_DROP, sizeof(io)), &io);
	errno = saved;
	return -1;
}

/* A number that no other thread or process that shares this open file is using. */
static uint64_t new_xfer(void)
{
	static __thread uint32_t count;

	return (uint64_t)(uint32_t)gettid() << 32 | ++count;
}

/*
 * Run command `cmd` with the pieces as payload. io->out_len is the room at `out`; on return the
 * size of the answer. The answer is copied also when the command fails, if it left one (io->out_len
 * says so).
 */
static int command(int fd, unsigned int cmd, struct ubpffs_io *io, const struct piece *in, int nr,
		   void *out)
{
	union {
		struct ubpffs_io io;
		char bytes[UBPFFS_IO_MAX];
	} buf;
	size_t in_len = 0, room = io->out_len, size;
	char *big = NULL, *p;
	int i, ret, saved;

	for (i = 0; i < nr; i++)
		in_len += in[i].len;
	size = in_len > room ? in_len : room;
	if (size > UBPFFS_XFER_MAX) {
		errno = E2BIG;
		return -1;
	}
	p = (char *)(&buf.io + 1);
	if (size > UBPFFS_PAYLOAD_MAX) {
		big = p = malloc(size);
		if (!big)
			return -1;
	}
	for (i = 0; i < nr; i++) {
		if (in[i].len)
			memcpy(p, in[i].data, in[i].len);
		p += in[i].len;
	}
	io->in_len = in_len;
	if (!big) {
		buf.io = *io;
		memset(&buf.bytes[sizeof(*io) + in_len], 0, size - in_len);
		ret = ioctl(fd, UBPFFS_IOC(cmd, sizeof(*io) + size), &buf);
		*io = buf.io;
		if (io->in_len != UBPFFS_ANSWERED || io->out_len > room)
			io->out_len = 0;
		if (room && io->out_len)
			memcpy(out, &buf.io + 1, io->out_len);
		return ret;
	}
	io->xfer = new_xfer();
	if (transfer(fd, UBPFFS_PUT, io->xfer, big, in_len)) {
		free(big);
		return drop(fd, io->xfer);
	}
	free(big);
	ret = ioctl(fd, UBPFFS_IOC(cmd, sizeof(*io)), io);
	saved = errno;
	if (io->in_len != UBPFFS_ANSWERED || io->out_len > room)
		io->out_len = 0;
	if (io->out_len && transfer(fd, UBPFFS_GET, io->xfer, out, io->out_len)) {
		ret = -1;
		saved = errno;
	}
	drop(fd, io->xfer);
	errno = saved;
	return ret;
}

EXPORT int ubpfc_command(int fd, unsigned int cmd, struct ubpffs_io *io, const void *in,
			 size_t in_len, void *out)
{
	struct piece piece = {in, in_len};

	return command(fd, cmd, io, &piece, 1, out);
}

/* ---- maps */

static int learn(int fd, struct known_map *map)
{
	struct bpf_map_info info = {0};
	struct ubpffs_io io = {.out_len = sizeof(info)};

	if (command(fd, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info))
		return -1;
	map->stamp = io.stamp;
	map->key_size = info.key_size;
	map->value_size = info.value_size;
	if (io.count) /* of a per-CPU type: so many values */
		map->value_size = (info.value_size + 7) / 8 * 8 * io.count;
	if (fd < KNOWN_FDS) {
		pthread_mutex_lock(&lock);
		known[fd] = *map;
		pthread_mutex_unlock(&lock);
	}
	return 0;
}

static int recall(int fd, struct known_map *map)
{
	map->stamp = 0;
	if (fd >= 0 && fd < KNOWN_FDS) {
		pthread_mutex_lock(&lock);
		*map = known[fd];
		pthread_mutex_unlock(&lock);
	}
	return map->stamp ? 0 : learn(fd, map);
}

/* Which parts of an element a command sends and receives. */
enum { SEND_KEY = 1, SEND_VALUE = 2, GET_KEY = 4, GET_VALUE = 8 };

/*
 * A descriptor that we hand out is a new one, whatever its number meant before: what was known of
 * the number must not decide how many bytes of the caller's key are read.
 */
static int handed_out(int fd)
{
	if (fd >= 0 && fd < KNOWN_FDS) {
		pthread_mutex_lock(&lock);
		known[fd].stamp = 0;
		pthread_mutex_unlock(&lock);
	}
	return fd;
}

static bool lacks(const struct known_map *map, int parts, const void *key, const void *value)
{
	return (parts & SEND_KEY && map->key_size && !key) ||
	       (parts & SEND_VALUE && map->value_size && !value);
}

static int element(int fd, unsigned int cmd, int parts, const void *key, const void *value,
		   void *out, uint64_t flags)
{
	struct known_map map;
	int ret, tries;

	for (tries = 0; tries < 2; tries++) {
		struct ubpffs_io io = {.flags = flags};
		struct piece in[2] = {{key, 0}, {value, 0}};

		if (tries ? learn(fd, &map) : recall(fd, &map))
			return -1;
		/* Remembered sizes and no key: it may be another map by now, one without keys. */
		if (lacks(&map, parts, key, value) &&
		    (learn(fd, &map) || lacks(&map, parts, key, value))) {
			errno = EFAULT;
			return -1;
		}
		io.stamp = map.stamp;
		if (parts & SEND_KEY)
			in[0].len = map.key_size;
		if (parts & SEND_VALUE)
			in[1].len = map.value_size;
		/* Without keys a value may be the question. */
		if (cmd == UBPFFS_MAP_LOOKUP_ELEM && !map.key_size)
			in[1] = (struct piece){out, map.value_size};
		io.out_len = parts & GET_KEY	 ? map.key_size
			     : parts & GET_VALUE ? map.value_size
						 : 0;
		ret = command(fd, cmd, &io, in, 2, out);
		if (!ret || errno != ESTALE)
			return ret;
	}
	return ret;
}

EXPORT int ubpfc_lookup_elem(int fd, const void *key, void *value)
{
	return element(fd, UBPFFS_MAP_LOOKUP_ELEM, SEND_KEY | GET_VALUE, key, NULL, value, 0);
}

EXPORT int ubpfc_lookup_elem_flags(int fd, const void *key, void *value, unsigned long long flags)
{
	return element(fd, UBPFFS_MAP_LOOKUP_ELEM, SEND_KEY | GET_VALUE, key, NULL, value, flags);
}

EXPORT int ubpfc_update_elem(int fd, const void *key, const void *value, unsigned long long flags)
{
	return element(fd, UBPFFS_MAP_UPDATE_ELEM, SEND_KEY | SEND_VALUE, key, value, NULL, flags);
}

EXPORT int ubpfc_delete_elem(int fd, const void *key)
{
	return element(fd, UBPFFS_MAP_DELETE_ELEM, SEND_KEY, key, NULL, NULL, 0);
}

EXPORT int ubpfc_lookup_and_delete_elem(int fd, const void *key, void *value)
{
	return element(fd, UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, SEND_KEY | GET_VALUE, key, NULL,
		       value, 0);
}

EXPORT int ubpfc_get_next_key(int fd, const void *key, void *next_key)
{
	return element(fd, UBPFFS_MAP_GET_NEXT_KEY, GET_KEY | (key ? SEND_KEY : 0), key, NULL,
		       next_key, 0);
}

EXPORT int ubpfc_freeze_map(int fd)
{
	struct ubpffs_io io = {0};

	return command(fd, UBPFFS_MAP_FREEZE, &io, NULL, 0, NULL);
}

/* A batch is of keys: for maps without, what bpf(2) says. */
static int batch_map(int fd, struct known_map *map)
{
	if (learn(fd, map))
		return -1;
	if (map->key_size)
		return 0;
	errno = EOPNOTSUPP;
	return -1;
}

EXPORT int ubpfc_lookup_batch(int fd, unsigned long long *cursor, void *keys, void *values,
			      unsigned int *count)
{
	struct ubpffs_io io = {.cursor = *cursor, .count = *count};
	struct known_map map;
	size_t pair, i;
	char *buf;
	int ret;

	if (batch_map(fd, &map))
		return -1;
	pair = (size_t)map.key_size + map.value_size;
	if (*count > UBPFFS_XFER_MAX / pair)
		io.count = UBPFFS_XFER_MAX / pair;
	io.out_len = io.count * pair;
	buf = malloc(io.out_len ? io.out_len : 1);
	if (!buf)
		return -1;
	ret = command(fd, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, buf);
	*count = io.out_len / pair < io.count ? io.out_len / pair : io.count;
	*cursor = io.cursor;
	for (i = 0; i < *count; i++) {
		memcpy((char *)keys + i * map.key_size, buf + i * pair, map.key_size);
		memcpy((char *)values + i * map.value_size, buf + i * pair + map.key_size,
		       map.value_size);
	}
	free(buf);
	return ret;
}

static int change_batch(int fd, unsigned int cmd, const void *keys, const void *values,
			unsigned int *count, uint64_t flags)
{
	struct ubpffs_io io = {.count = *count, .flags = flags};
	struct known_map map;
	struct piece in;
	size_t pair, i;
	char *buf;
	int ret;

	if (batch_map(fd, &map))
		return -1;
	pair = (size_t)map.key_size + (values ? map.value_size : 0);
	if (*count > UBPFFS_XFER_MAX / pair) {
		*count = 0;
		errno = E2BIG;
		return -1;
	}
	buf = malloc(*count * pair + 1);
	if (!buf)
		return -1;
	for (i = 0; i < *count; i++) {
		memcpy(buf + i * pair, (const char *)keys + i * map.key_size, map.key_size);
		if (values)
			memcpy(buf + i * pair + map.key_size,
			       (const char *)values + i * map.value_size, map.value_size);
	}
	in = (struct piece){buf, *count * pair};
	*count = 0;
	ret = command(fd, cmd, &io, &in, 1, NULL);
	*count = io.count;
	free(buf);
	return ret;
}

EXPORT int ubpfc_update_batch(int fd, const void *keys, const void *values, unsigned int *count,
			      unsigned long long flags)
{
	return change_batch(fd, UBPFFS_MAP_UPDATE_BATCH, keys, values, count, flags);
}

EXPORT int ubpfc_delete_batch(int fd, const void *keys, unsigned int *count)
{
	return change_batch(fd, UBPFFS_MAP_DELETE_BATCH, keys, NULL, count, 0);
}

/* ---- making objects: a ctl descriptor holds the new object until its id is open */

static int open_ctl(void)
{
	return client_mount_open("ctl", O_RDWR, 0);
}

static int open_id(const char *kind, unsigned int id)
{
	char path[64];

	snprintf(path, sizeof(path), "ids/%s/%u", kind, id);
	return handed_out(client_mount_open(path, O_RDWR, 0));
}

static void close_keeping_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

EXPORT int ubpfc_create_map(enum bpf_map_type map_type, int key_size, int value_size,
			    int max_entries, int map_flags)
{
	union bpf_attr attr;
	struct piece in = {&attr, sizeof(attr)};
	struct ubpffs_io io = {.out_len = sizeof(uint32_t)};
	uint32_t id = 0;
	int ctl = open_ctl(), fd = -1;

	if (ctl < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = map_type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = max_entries;
	attr.map_flags = map_flags;
	if (!command(ctl, UBPFFS_MAP_CREATE, &io, &in, 1, &id))
		fd = open_id("map", id);
	close_keeping_errno(ctl);
	return fd;
}

/*
 * Replace descriptors in LD_IMM64 by indices into `tokens`. The same descriptor gets the same
 * index. `copy` is the caller's own copy of the instructions.
 */
static int name_maps(struct bpf_insn *copy, uint32_t cnt, uint64_t *tokens, uint32_t *nr)
{
	int fds[64];
	uint32_t i, k;

	*nr = 0;
	for (i = 0; i + 1 < cnt; i++) {
		struct ubpffs_io io = {.out_len = sizeof(*tokens)};
		struct bpf_insn *insn = &copy[i];

		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		i++;
		if (insn->src_reg != BPF_PSEUDO_MAP_FD && insn->src_reg != BPF_PSEUDO_MAP_VALUE)
			continue;
		for (k = 0; k < *nr && fds[k] != insn->imm; k++)
			;
		if (k == *nr) {
			if (*nr == 64) {
				errno = E2BIG;
				return -1;
			}
			if (command(insn->imm, UBPFFS_OBJ_TOKEN, &io, NULL, 0, &tokens[k])) {
				errno = errno == EBADF ? EBADF : EINVAL;
				return -1;
			}
			fds[k] = insn->imm;
			(*nr)++;
		}
		insn->src_reg = insn->src_reg == BPF_PSEUDO_MAP_FD ? BPF_PSEUDO_MAP_IDX
								   : BPF_PSEUDO_MAP_IDX_VALUE;
		insn->imm = k;
	}
	return 0;
}

EXPORT int ubpfc_prog_load(enum bpf_prog_type prog_type, const struct bpf_insn *insns, int insn_len,
			   const char *license)
{
	struct ubpffs_prog_load load = {.prog_type = prog_type,
					.log_level = 1 | UBPFFS_LOG_ON_REFUSAL};
	struct {
		struct ubpffs_load_result result;
		char log[UBPFC_LOG_SIZE];
	} *answer = NULL;
	struct bpf_insn *copy = NULL;
	uint64_t tokens[64];
	int ctl = -1, fd = -1;

	ubpfc_log_buf[0] = 0;
	if (insn_len <= 0 || insn_len % sizeof(*insns) || !license) {
		errno = EINVAL;
		return -1;
	}
	copy = malloc(insn_len);
	answer = calloc(1, sizeof(*answer));
	if (copy && answer) {
		memcpy(copy, insns, insn_len);
		load.insn_cnt = insn_len / sizeof(*insns);
		load.license_len = strlen(license) + 1;
		if (!name_maps(copy, load.insn_cnt, tokens, &load.map_cnt))
			ctl = open_ctl();
	}
	if (ctl >= 0) {
		struct piece in[4] = {{&load, sizeof(load)},
				      {copy, insn_len},
				      {tokens, load.map_cnt * sizeof(*tokens)},
				      {license, load.license_len}};
		struct ubpffs_io io = {.out_len = sizeof(*answer)};
		int ret = command(ctl, UBPFFS_PROG_LOAD, &io, in, 4, answer);

		if (io.out_len > sizeof(answer->result)) {
			memcpy(ubpfc_log_buf, answer->log, UBPFC_LOG_SIZE);
			ubpfc_log_buf[UBPFC_LOG_SIZE - 1] = 0;
		}
		if (!ret)
			fd = open_id("prog", answer->result.id);
		close_keeping_errno(ctl);
	}
	free(copy);
	free(answer);
	return fd;
}

EXPORT int ubpfc_prog_test_run(int prog_fd, int repeat, const void *data, unsigned int size,
			       void *data_out, unsigned int *size_out, unsigned int *retval,
			       unsigned int *duration)
{
	struct ubpffs_prog_run run = {
		.data_size_in = size, .data_size_out = data_out ? *size_out : 0, .repeat = repeat};
	struct piece in[2] = {{&run, sizeof(run)}, {data, size}};
	struct ubpffs_io io = {.out_len = sizeof(run) + run.data_size_out};
	char *answer = malloc(io.out_len);
	int ret;

	if (!answer)
		return -1;
	ret = command(prog_fd, UBPFFS_PROG_TEST_RUN, &io, in, 2, answer);
	if (io.out_len >= sizeof(run)) {
		memcpy(&run, answer, sizeof(run));
		if (data_out)
			memcpy(data_out, answer + sizeof(run), io.out_len - sizeof(run));
		if (size_out)
			*size_out = run.data_size_out;
		if (retval)
			*retval = run.retval;
		if (duration)
			*duration = run.duration;
	}
	free(answer);
	return ret;
}

/* ---- any object */

EXPORT int ubpfc_obj_get_info_by_fd(int fd, void *info, unsigned int *len)
{
	struct ubpffs_io io = {.out_len = *len};
	int ret = command(fd, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, info);

	if (!ret)
		*len = io.out_len;
	return ret;
}

EXPORT int ubpfc_obj_pin(int fd, const char *path)
{
	struct ubpffs_io io = {0};
	struct piece in;

	path = client_mount_relative(path);
	if (!path)
		return -1;
	in = (struct piece){path, strlen(path) + 1};
	return command(fd, UBPFFS_OBJ_PIN, &io, &in, 1, NULL);
}

EXPORT int ubpfc_obj_get(const char *path)
{
	path = client_mount_relative(path);
	if (!path)
		return -1;
	return handed_out(client_mount_open(path, O_RDWR, RESOLVE_BENEATH));
}

EXPORT int ubpfc_map_get_fd_by_id(unsigned int id)
{
	return open_id("map", id);
}

EXPORT int ubpfc_prog_get_fd_by_id(unsigned int id)
{
	return open_id("prog", id);
}

static int next_id(unsigned int kind, unsigned int start_id, unsigned int *next)
{
	struct ubpffs_io io = {.flags = kind, .count = start_id, .out_len = sizeof(*next)};
	int ctl = open_ctl(), ret;

	if (ctl < 0)
		return -1;
	ret = command(ctl, UBPFFS_GET_NEXT_ID, &io, NULL, 0, next);
	close_keeping_errno(ctl);
	return ret;
}

EXPORT int ubpfc_map_get_next_id(unsigned int start_id, unsigned int *id)
{
	return next_id(BPF_MAP_GET_NEXT_ID, start_id, id);
}

EXPORT int ubpfc_prog_get_next_id(unsigned int start_id, unsigned int *id)
{
	return next_id(BPF_PROG_GET_NEXT_ID, start_id, id);
}
