/*
 * batch.c - bpf(2)'s commands on many elements
 *
 * Keys and values lie apart in the caller's memory and in pairs on the way to the server; a large
 * batch goes in several pieces. Where a walk has come to is a number that the server gives for the
 * caller's open file, which fits the four bytes that a hash table's callers have for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tools/run/commands/batch.h"
#include "tools/run/commands/map.h"

#define PIECE (4u << 20) /* bytes */

struct batch {
	struct bpf_call *call;
	struct object map;
	uint64_t key, value; /* bytes */
	uint32_t done;
	char *pairs, *keys, *values; /* of a piece */
	uint32_t room; /* elements of a piece */
};

static bool looks(const struct bpf_call *call)
{
	return call->cmd == BPF_MAP_LOOKUP_BATCH || call->cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
}

static long batch_begin(struct batch *b)
{
	const union bpf_attr *attr = &b->call->attr;
	long err = object_of_fd(b->call->c, attr->batch.map_fd, UBPFFS_MAP, &b->map);

	if (!err)
		err = map_cpus_fit(&b->map);
	if (!err && ((looks(b->call) && attr->batch.flags) ||
		     attr->batch.elem_flags & ~(uint64_t)BPF_F_LOCK))
		err = -EINVAL;
	if (err)
		return err;
	b->key = b->map.map.key_size;
	b->value = map_value_size(&b->map);
	if (!b->key)
		return -EOPNOTSUPP;
	b->room = PIECE / (b->key + b->value) ? PIECE / (b->key + b->value) : 1;
	if (b->room > attr->batch.count)
		b->room = attr->batch.count;
	b->pairs = malloc(b->room * (b->key + b->value) + 1);
	b->keys = malloc(b->room * b->key + 1);
	b->values = malloc(b->room * b->value + 1);
	return b->pairs && b->keys && b->values ? 0 : -ENOMEM;
}

static void batch_end(struct batch *b)
{
	free(b->pairs);
	free(b->keys);
	free(b->values);
	object_end(&b->map);
}

static uint32_t next_piece(const struct batch *b)
{
	uint32_t left = b->call->attr.batch.count - b->done;

	return left < b->room ? left : b->room;
}

/* Elements that the server gave go to the caller. */
static int put_elements(struct batch *b, uint32_t n)
{
	const union bpf_attr *attr = &b->call->attr;
	const char *pair = b->pairs;
	int err;

	for (uint32_t i = 0; i < n; i++, pair += b->key + b->value) {
		memcpy(b->keys + i * b->key, pair, b->key);
		memcpy(b->values + i * b->value, pair + b->key, b->value);
	}
	err = caller_write(b->call->c, attr->batch.keys + b->done * b->key, b->keys, n * b->key);
	if (!err)
		err = caller_write(b->call->c, attr->batch.values + b->done * b->value, b->values,
				   n * b->value);
	return err;
}

static long lookup(struct batch *b)
{
	const union bpf_attr *attr = &b->call->attr;
	unsigned int cmd = b->call->cmd == BPF_MAP_LOOKUP_BATCH
				   ? UBPFFS_MAP_LOOKUP_BATCH
				   : UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH;
	struct ubpffs_io io = {0};
	uint32_t cursor = 0;
	long err = 0;
	int put;

	if (attr->batch.in_batch)
		err = caller_read(b->call->c, attr->batch.in_batch, &cursor, sizeof(cursor));
	while (!err && b->done < attr->batch.count) {
		io = (struct ubpffs_io){
			.flags = attr->batch.elem_flags, .cursor = cursor, .count = next_piece(b)};
		io.out_len = io.count * (b->key + b->value);
		err = mount_command(b->map.fd, cmd, &io, NULL, 0, b->pairs);
		if (err && err != -ENOENT)
			break;
		if (io.count > b->room)
			return -EIO;
		put = put_elements(b, io.count);
		if (put)
			return put;
		b->done += io.count;
		cursor = io.cursor;
		if (cursor != io.cursor)
			err = err ? err : -EOVERFLOW;
	}
	if (!err || err == -ENOENT) {
		put = caller_write(b->call->c, attr->batch.out_batch, &cursor, sizeof(cursor));
		err = put ? put : err;
	}
	return err;
}

/* A piece of what the caller has; the descriptors in slots become ids. */
static long get_elements(struct batch *b, uint32_t n, bool values)
{
	const union bpf_attr *attr = &b->call->attr;
	char *pair = b->pairs;
	long err;

	err = caller_read(b->call->c, attr->batch.keys + b->done * b->key, b->keys, n * b->key);
	if (!err && values)
		err = caller_read(b->call->c, attr->batch.values + b->done * b->value, b->values,
				  n * b->value);
	for (uint32_t i = 0; !err && i < n; i++) {
		pair = mempcpy(pair, b->keys + i * b->key, b->key);
		if (!values)
			continue;
		memcpy(pair, b->values + i * b->value, b->value);
		if (map_slot_kind(&b->map))
			err = map_fd_to_id(b->call->c, map_slot_kind(&b->map), pair);
		pair += b->value;
	}
	return err;
}

static long change(struct batch *b)
{
	const union bpf_attr *attr = &b->call->attr;
	bool values = b->call->cmd == BPF_MAP_UPDATE_BATCH;
	long err = 0;

	while (!err && b->done < attr->batch.count) {
		uint32_t n = next_piece(b);
		struct ubpffs_io io = {.flags = attr->batch.elem_flags, .count = n};

		err = get_elements(b, n, values);
		if (err)
			break;
		err = mount_command(b->map.fd,
				    values ? UBPFFS_MAP_UPDATE_BATCH : UBPFFS_MAP_DELETE_BATCH, &io,
				    b->pairs, n * (b->key + (values ? b->value : 0)), NULL);
		b->done += err && io.count >= n ? 0 : io.count; /* it never came to answer */
	}
	return err;
}

long run_map_batch(struct bpf_call *call)
{
	struct batch b = {.call = call, .map.fd = -1};
	long err = batch_begin(&b);
	int put;

	if (!err && call->attr.batch.count) {
		err = looks(call) ? lookup(&b) : change(&b);
		call->attr.batch.count = looks(call) && err == -EFAULT ? 0 : b.done;
		put = BPF_PUT(call, batch.count);
		err = put ? put : err;
	}
	batch_end(&b);
	return err;
}
