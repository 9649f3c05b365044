/*
 * value_memory.c - see maps/value_memory.h
 */
#include "fs/maps/value_memory.h"
#include "fs/fuse/protocol/passthrough.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/files.h"
#include "map/arena/arena.h"
#include "map/mmap.h"

#include <fcntl.h>
#include <stdio.h>

static pthread_mutex_t backing_lock = PTHREAD_MUTEX_INITIALIZER;

/* The map's mirror, whose descriptor is not needed once the kernel has it. */
static int mirror_backing(struct bpf_map *map)
{
	int fd = bpf_map_mmap_fd(map), id = fd < 0 ? fd : passthrough_add(fd, 0);

	if (id > 0)
		bpf_map_mmap_drop(map);
	return id;
}

/* That of the state's file; the last server of this mount may have made it. */
static int part_backing(u32 id, enum store_part part)
{
	u64 key = store_backing_key(id, part);
	int known = passthrough_known(key);
	__do_close int fd = known ? -1 : store_part_open(id, part, O_RDWR);

	if (known)
		return known;
	return fd < 0 ? fd : passthrough_add(fd, key);
}

int mapmem_backing(struct store_object *obj, enum store_part part, int *id)
{
	int ret;

	pthread_mutex_lock(&backing_lock);
	if (!*id)
		*id = bpf_map_mmap_sealed(obj->map) ? mirror_backing(obj->map)
						    : part_backing(obj->id, part);
	ret = *id;
	pthread_mutex_unlock(&backing_lock);
	return ret > 0 ? ret : 0;
}

static int backing_of(struct store_object *obj)
{
	return mapmem_backing(obj, STORE_VALUES, &obj->backing_id);
}

/* Can nobody get a writable descriptor of the map's file any more? */
static bool is_readonly(const struct bpf_map *map)
{
	return map->map_flags & BPF_F_RDONLY || __atomic_load_n(&map->frozen, __ATOMIC_RELAXED);
}

int mapmem_open(struct fs_open *open, struct fs_req *req, struct store_object *obj)
{
	int id;

	if (obj->kind != STORE_MAP || !obj->map || !bpf_map_mmapable(obj->map) ||
	    bpf_map_mmap_sealed(obj->map))
		return 0;
	id = backing_of(obj);
	if (id && (open->flags & O_ACCMODE) != O_RDONLY && is_readonly(obj->map))
		return fs_error(req, EPERM,
				"the map is frozen or read-only and can be mapped: open it "
				"read-only");
	open->backing_id = id;
	return 0;
}

/* ---- mem */

const struct fs_node_ops *mapmem_kind(struct store_object *obj)
{
	if (obj->kind != STORE_MAP || !obj->map || !bpf_map_mmapable(obj->map))
		return NULL;
	if (backing_of(obj))
		return bpf_map_mmap_sealed(obj->map) ? &mem_file_ops : NULL;
	/* A link of a plain file's descriptor would open it for writing. */
	if (is_readonly(obj->map) && !bpf_map_mmap_sealed(obj->map))
		return NULL;
	return &mem_link_ops;
}

static int mem_readlink(struct fs_node *node, struct fs_req *req, char *buf, size_t len)
{
	struct store_object *obj;
	struct bpf_map *map;
	int err = store_map_of_node(node, &obj), fd = 0;
	char name[32];

	if (err)
		return err;
	map = obj->map;
	if (!map) {
		store_put(obj);
		return fs_error(req, EBADMSG, "%s", obj->broken);
	}
	if (bpf_map_mmap_sealed(map)) {
		fd = bpf_map_mmap_fd(map);
		snprintf(buf, len, "/proc/%d/fd/%d", getpid(), fd);
	} else {
		snprintf(buf, len, "/proc/%d/fd/%d/%s", getpid(), tree.objects_fd,
			 store_part_name(map->id, STORE_VALUES, name));
	}
	store_put(obj);
	return fd < 0 ? fd : 0;
}

const struct fs_node_ops mem_link_ops = {
	.name = "link to a map's memory",
	.type = S_IFLNK,
	.readlink = mem_readlink,
};

static int mem_open(struct fs_open *open, struct fs_req *req)
{
	struct store_object *obj;
	int err;

	if ((open->flags & O_ACCMODE) != O_RDONLY)
		return fs_error(req, EPERM, "the memory of this map is for reading only");
	err = store_map_of_node(open->node, &obj);
	if (err)
		return err;
	if (mapmem_kind(obj) != &mem_file_ops) {
		store_put(obj);
		return -ENOENT;
	}
	open->backing_id = backing_of(obj);
	open->priv = obj;
	return 0;
}

static ssize_t mem_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	const struct store_object *obj = open->priv;
	size_t size = obj->map->arena->values_size;

	if (off < 0 || (size_t)off >= size)
		return 0;
	len = min(len, size - (size_t)off);
	memcpy(buf, (const char *)obj->map->values + off, len);
	return (ssize_t)len;
}

static void mem_release(struct fs_open *open)
{
	store_put(open->priv);
}

const struct fs_node_ops mem_file_ops = {
	.name = "map memory",
	.type = S_IFREG,
	.open = mem_open,
	.read = mem_read,
	.release = mem_release,
};

/* ---- the same by id, for who has a map fd and knows no name */

static int mem_id_getattr(struct fs_node *node, struct stat *st)
{
	struct store_object *obj;
	int err = store_map_of_node(node, &obj);

	if (err)
		return err;
	err = store_stat(obj, st);
	store_put(obj);
	st->st_mode = S_ISLNK(node->ops->type) ? S_IFLNK | 0777 : st->st_mode & (S_IFMT | 0444);
	st->st_size = st->st_blocks = 0;
	st->st_nlink = 1;
	return err;
}

static void mem_id_name(const struct fs_node *node, struct fs_text *out)
{
	u32 id;

	memcpy(&id, node->key, sizeof(id));
	fs_text_printf(out, "%u", id);
}

static const struct fs_node_ops mem_id_link_ops = {
	.name = "link to a map's memory",
	.type = S_IFLNK,
	.key_name = mem_id_name,
	.getattr = mem_id_getattr,
	.readlink = mem_readlink,
};
FS_KIND(mem_id_link_ops, "link to map memory by id");

static const struct fs_node_ops mem_id_file_ops = {
	.name = "map memory",
	.type = S_IFREG,
	.key_name = mem_id_name,
	.getattr = mem_id_getattr,
	.open = mem_open,
	.read = mem_read,
	.release = mem_release,
};
FS_KIND(mem_id_file_ops, "map memory by id");

const struct fs_node_ops *mapmem_id_kind(struct store_object *obj)
{
	const struct fs_node_ops *ops = mapmem_kind(obj);

	return ops == &mem_link_ops ? &mem_id_link_ops : ops ? &mem_id_file_ops : NULL;
}
