/*
 * ring_memory.c - see maps/ring_memory.h
 */
#include "fs/maps/ring_memory.h"
#include "fs/maps/value_memory.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/files.h"
#include "map/ring/ringbuf.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

static bool is_ring(const struct store_object *obj)
{
	return obj->kind == STORE_MAP && obj->map && obj->map->map_type == BPF_MAP_TYPE_RINGBUF;
}

/* Which file of the map it is. */
static enum store_part part_file(enum store_ring_part part)
{
	return part == STORE_RING_CONSUMER ? STORE_VALUES : STORE_OBJECT;
}

static enum store_ring_part part_of(const struct fs_node *node)
{
	return node->ops == &ring_consumer_file_ops || node->ops == &ring_consumer_link_ops
		       ? STORE_RING_CONSUMER
		       : STORE_RING_DATA;
}

static int backing_of(struct store_object *obj, enum store_ring_part part)
{
	return mapmem_backing(obj, part_file(part), &obj->ring_backing_id[part]);
}

const struct fs_node_ops *ringmem_kind(struct store_object *obj, enum store_ring_part part)
{
	static const struct fs_node_ops *const ops[][2] = {
		[STORE_RING_CONSUMER] = {&ring_consumer_link_ops, &ring_consumer_file_ops},
		[STORE_RING_DATA] = {&ring_data_link_ops, &ring_data_file_ops},
	};

	return is_ring(obj) ? ops[part][backing_of(obj, part) != 0] : NULL;
}

static int object_of(struct fs_node *node, struct store_object **out)
{
	int err = store_map_of_node(node, out);

	if (!err && !is_ring(*out)) {
		store_put(*out);
		err = -ENOENT;
	}
	return err;
}

static int ring_getattr(struct fs_node *node, struct stat *st)
{
	struct store_object *obj;
	int err = object_of(node, &obj);

	if (err)
		return err;
	err = store_stat(obj, st);
	store_put(obj);
	if (S_ISLNK(node->ops->type))
		st->st_mode = S_IFLNK | 0777;
	else
		st->st_mode &= S_IFMT | (part_of(node) == STORE_RING_CONSUMER ? 0666 : 0444);
	st->st_size = st->st_blocks = 0;
	st->st_nlink = 1;
	return err;
}

static int ring_readlink(struct fs_node *node, struct fs_req *req, char *buf, size_t len)
{
	struct store_object *obj;
	int err = object_of(node, &obj);
	char name[32];

	if (err)
		return err;
	snprintf(buf, len, "/proc/%d/fd/%d/%s", getpid(), tree.objects_fd,
		 store_part_name(obj->id, part_file(part_of(node)), name));
	store_put(obj);
	return 0;
}

static int ring_open(struct fs_open *open, struct fs_req *req)
{
	bool writes = (open->flags & O_ACCMODE) != O_RDONLY;
	enum store_ring_part part = part_of(open->node);
	struct store_object *obj;
	int err = object_of(open->node, &obj);

	if (err)
		return err;
	if (writes && part == STORE_RING_DATA)
		err = fs_error(req, EPERM, "the records are for reading only");
	else if (writes && __atomic_load_n(&obj->map->frozen, __ATOMIC_RELAXED))
		err = fs_error(req, EPERM, "the map is frozen: its consumer stays where it is");
	if (err) {
		store_put(obj);
		return err;
	}
	open->backing_id = backing_of(obj, part);
	open->priv = obj;
	return 0;
}

static ssize_t ring_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	const struct store_object *obj = open->priv;
	__do_close int fd = store_part_open(obj->id, part_file(part_of(open->node)), O_RDONLY);
	ssize_t n = fd < 0 ? fd : pread(fd, buf, len, off);

	return fd >= 0 && n < 0 ? -errno : n;
}

static void ring_release(struct fs_open *open)
{
	store_put(open->priv);
}

#define FILE_OPS                                                                        \
	.type = S_IFREG, .getattr = ring_getattr, .open = ring_open, .read = ring_read, \
	.release = ring_release
#define LINK_OPS .type = S_IFLNK, .getattr = ring_getattr, .readlink = ring_readlink

const struct fs_node_ops ring_consumer_file_ops = {.name = "consumer's page", FILE_OPS};
FS_KIND(ring_consumer_file_ops, "consumer's page");
const struct fs_node_ops ring_consumer_link_ops = {.name = "link to a consumer's page", LINK_OPS};
FS_KIND(ring_consumer_link_ops, "link to a consumer's page");
const struct fs_node_ops ring_data_file_ops = {.name = "ring's memory", FILE_OPS};
FS_KIND(ring_data_file_ops, "ring's memory");
const struct fs_node_ops ring_data_link_ops = {.name = "link to a ring's memory", LINK_OPS};
FS_KIND(ring_data_link_ops, "link to a ring's memory");

/* ---- the map's own descriptor */

u32 ringmem_poll(const struct bpf_map *map)
{
	return bpf_ringbuf_ready(map) ? POLLIN | POLLRDNORM : 0;
}
