/*
 * ids.c - M/ids: every object by its id, named or not
 *
 * ids/<kind>/<id> is the object's file itself (one node with its other links), so opening it gives
 * a descriptor of the object, if its permission bits let the caller.
 */
#include "fs/tree/ids.h"
#include "fs/dirs/user_dir.h"
#include "fs/tree/btf_file.h"
#include "fs/maps/ring_memory.h"
#include "fs/maps/value_memory.h"
#include "fs/store/objects/asleep.h"

#include <fcntl.h>
#include <stdio.h>

static const char *const kinds[] = {
	[STORE_PROG] = "prog", [STORE_MAP] = "map", [STORE_LINK] = "link"};
/* ids/consumer, ids/ring: the memory of ring buffers, for who has a map fd and knows no name */
static const char *const ring_parts[] = {
	[STORE_RING_CONSUMER] = "consumer", [STORE_RING_DATA] = "ring"};
#define IDS_RING  STORE_KINDS
#define IDS_BTF	  (IDS_RING + STORE_RING_PARTS) /* types, which have no names */
#define IDS_MEM	  (IDS_BTF + 1) /* the values of arrays, the same */
#define IDS_KINDS (IDS_MEM + 1)

static const char *kind_name(u32 kind)
{
	if (kind == IDS_BTF)
		return "btf";
	if (kind == IDS_MEM)
		return "mem";
	if (kind >= IDS_RING)
		return ring_parts[kind - IDS_RING];
	return kinds[kind];
}

/*
 * How the memory of an object is shown; NULL: it has none of that kind. What sleeps is woken when
 * it may have some.
 */
static const struct fs_node_ops *memory_kind(struct store_object *obj, u32 kind)
{
	enum bpf_map_type type = store_map_type(obj);

	if (type != (kind == IDS_MEM ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_RINGBUF) ||
	    store_wake(obj))
		return NULL;
	return kind == IDS_MEM ? mapmem_id_kind(obj) : ringmem_kind(obj, kind - IDS_RING);
}

static int kind_of(const struct fs_node *node)
{
	return *(const u8 *)node->key;
}

static int kind_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node **out)
{
	struct store_object *obj;
	char file[16];
	char *end;
	int kind = kind_of(dir), err;
	unsigned long id = strtoul(name, &end, 10);

	if (*end || name[0] < '1' || name[0] > '9' || id >= UINT32_MAX)
		return -ENOENT;
	if (kind == IDS_BTF)
		return btf_lookup(dir, id, out);
	err = store_by_id(kind >= IDS_RING ? STORE_MAP : kind, id, &obj);
	if (err)
		return err;
	if (kind >= IDS_RING) {
		const struct fs_node_ops *ops = memory_kind(obj, kind);
		u32 key = id;

		err = ops ? fs_node_keyed(dir, ops, &key, sizeof(key), out) : -ENOENT;
		store_put(obj);
		return err;
	}
	snprintf(file, sizeof(file), "%lu", id);
	err = fs_object_node(fs_node_base(dir), file, obj, out);
	store_put(obj);
	return err;
}

static int kind_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			void *arg)
{
	int kind = kind_of(open->node);
	struct store_object *obj;

	if (kind == IDS_BTF)
		return btf_readdir(open->node, cursor, emit, arg);
	/* The cursor is the last id given. */
	while (cursor < UINT32_MAX &&
	       !store_next(kind >= IDS_RING ? STORE_MAP : kind, (u32)cursor, &obj)) {
		const struct fs_node_ops *ops = kind >= IDS_RING ? memory_kind(obj, kind) : NULL;
		u64 ino = obj->ino;
		char name[16];

		cursor = obj->id;
		store_put(obj);
		if (kind >= IDS_RING && !ops)
			continue;
		snprintf(name, sizeof(name), "%u", (u32)cursor);
		if (!emit(arg, name, cursor, ops ? ops->type : S_IFREG, ino))
			break;
	}
	return 0;
}

static void kind_key_name(const struct fs_node *node, struct fs_text *out)
{
	fs_text_printf(out, "%s", kind_name(kind_of(node)));
}

static const struct fs_node_ops kind_ops = {
	.name = "ids of a kind",
	.type = S_IFDIR,
	.wakes = true,
	.key_name = kind_key_name,
	.lookup = kind_lookup,
	.readdir = kind_readdir,
};
FS_KIND(kind_ops, "ids of a kind");

static int ids_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node **out)
{
	for (u8 i = 0; i < IDS_KINDS; i++)
		if (!strcmp(name, kind_name(i)))
			return fs_node_keyed(dir, &kind_ops, &i, 1, out);
	return -ENOENT;
}

static int ids_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
		       void *arg)
{
	for (; cursor < IDS_KINDS; cursor++)
		if (!emit(arg, kind_name(cursor), cursor + 1, S_IFDIR,
			  open->node->ino << 3 | cursor))
			break;
	return 0;
}

const struct fs_node_ops ids_ops = {
	.name = "ids",
	.type = S_IFDIR,
	.stable = true,
	.lookup = ids_lookup,
	.readdir = ids_readdir,
};
