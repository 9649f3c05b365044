/*
 * maps.c - M/maps and M/maps/<m>: directories that are maps, and the small files in them
 *
 * mkdir makes a directory with nothing but attributes; the write that completes the definition
 * makes the map (create_map()). The files that show entries are in entries.c and dump.c.
 */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/maps/text/entries.h"
#include "fs/keeper/requests.h"
#include "fs/maps/text/vars.h"
#include "fs/dirs/object_dir.h"
#include "fs/dirs/user_dir.h"
#include "fs/maps/maps.h"
#include "fs/maps/definition.h"
#include "fs/maps/value_memory.h"
#include "fs/lib/write_buffer.h"
#include "fs/store/resolve.h"
#include "fs/maps/stream.h"
#include "fs/maps/ring_memory.h"
#include "map/arena/arena.h"
#include "map/syscall.h"
#include "fs/store/names/map_owner.h"
#include "fs/store/create.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/names.h"
#include "fs/store/objects/object.h"
#include "fs/maps/text/stack_symbols.h"
#include "text/value_text.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"

/* ---- attributes */

static int attr_open(struct fs_open *open, struct fs_req *req)
{
	int err = open->node->attr->arg == MAPDEF_INNER ? fs_open_keep_groups(open, req) : 0;

	return err ? err : fs_value_open(open, req);
}

static u32 attr_of_map(const struct bpf_map *map, enum mapdef_attr attr)
{
	switch (attr) {
	case MAPDEF_TYPE:
		return map->map_type;
	case MAPDEF_KEY_SIZE:
		return map->key_size;
	case MAPDEF_VALUE_SIZE:
		return map->value_size;
	case MAPDEF_MAX_ENTRIES:
		return map->max_entries;
	case MAPDEF_INNER:
		return map->arena->header->spec.inner_map_id;
	default:
		return map->map_flags;
	}
}

static int attr_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	enum mapdef_attr attr = node->attr->arg;
	struct fs_node *dir = fs_node_base(node);
	struct bpf_map *map;
	struct mapdef def;
	int err;

	err = store_map(node, req, &map);
	if (!err) {
		mapdef_print(attr, attr_of_map(map, attr), out);
		bpf_map_put(map);
		return 0;
	}
	if (err != -ENOENT)
		return err;
	err = mapdef_read(fs_node_fd(dir), &def);
	if (err)
		return err;
	if (def.set[attr])
		mapdef_print(attr, def.value[attr], out);
	else if (attr == MAPDEF_FLAGS)
		fs_text_printf(out, "0x0\n");
	return 0;
}

/* A map's own name: the directory's, as far as the kernel would take it. */
static void name_map(struct fs_node *dir, char *name)
{
	char path[PATH_MAX], *base;
	size_t i;

	base = strrchr(fs_node_path(dir, NULL, path, sizeof(path)), '/');
	base = base ? base + 1 : path;
	for (i = 0; i < BPF_OBJ_NAME_LEN - 1 && base[i]; i++)
		name[i] = isalnum((unsigned char)base[i]) || base[i] == '.' ? base[i] : '_';
	name[i] = 0;
}

/*
 * tree_wrlock held: make the map and give it its name. One reference in *map, also on failure when
 * it is not NULL: put it after tree_unlock(), for the last one frees.
 */
static int create_map(struct fs_node *dir, struct fs_req *req, const struct bpf_map_spec *spec,
		      struct bpf_map **map)
{
	struct stat st;
	int err;

	if (fstatat(fs_node_fd(dir), "", &st, AT_EMPTY_PATH))
		return -errno;
	err = mapdef_check(spec, fs_why(req));
	if (!err)
		err = store_map_create(spec, &req->cred, st.st_mode & 0666, map, fs_why(req));
	if (err == -EBADF)
		fs_error(req, EBADF, "the inner map %u is gone: write inner_map again",
			 spec->inner_map_id);
	else if (err == -ENOMEM || err == -E2BIG)
		fs_error(req, -err,
			 "a %s map of %u entries of %u + %u bytes is too large: see Limits in "
			 "docs/reference.md",
			 bpf_map_type_name(spec->map_type), spec->max_entries, spec->key_size,
			 spec->value_size);
	if (err)
		return err;
	err = store_link(store_of_map(*map), fs_node_fd(dir), MAP_LINK, fs_why(req));
	if (!err)
		store_bind(dir, store_of_map(*map));
	return err;
}

static int attr_set(struct fs_node *dir, struct fs_req *req, enum mapdef_attr attr, u32 value)
{
	struct bpf_map *map = NULL;
	struct bpf_map_spec spec;
	struct mapdef def;
	int err;

	tree_wrlock();
	if (store_node_named(dir))
		err = fs_error(req, EBUSY,
			       "the map is alive and its attributes are fixed: make another one");
	else
		err = mapdef_read(fs_node_fd(dir), &def);
	if (!err) {
		def.set[attr] = true;
		def.value[attr] = value;
		if (mapdef_complete(&def, &spec)) {
			name_map(dir, spec.name);
			err = create_map(dir, req, &spec, &map);
		}
		if (!err)
			err = durable_settle(fs_why(req)); /* no whole definition without a map */
		if (!err) {
			err = mapdef_write(fs_node_fd(dir), &def, fs_why(req));
			if (err && map && !durable_unlinkat(fs_node_fd(dir), MAP_LINK, 0)) {
				store_bind(dir, NULL);
				store_names_changed(store_of_map(map));
			}
		}
	}
	tree_unlock();
	if (map)
		bpf_map_put(map);
	return err;
}

/* inner_map takes a map's name, path or id; what follows from it is fixed when the map is made. */
static int inner_parse(struct fs_req *req, const char *text, size_t len, u32 *id)
{
	struct store_object *obj;
	char name[PATH_MAX];
	int ret = resolve_word(req, STORE_MAP, text, len, RESOLVE_READ, name, &obj);

	if (ret == TEXT_COMPLETE) {
		*id = obj->id;
		store_put(obj);
	}
	return ret;
}

enum { WAS_INCOMPLETE = 1, WAS_ALIVE }; /* before an attribute was set */

/* A server may have set the last one, and died before it said that the map is there. */
static int set_once(struct fs_node *dir, struct fs_req *req, enum mapdef_attr attr, u32 value)
{
	u64 before = req->unique ? requests_intended(req->unique) : 0;
	int err;

	if (req->unique && !before)
		requests_intent(req->unique, store_node_named(dir) ? WAS_ALIVE : WAS_INCOMPLETE);
	err = attr_set(dir, req, attr, value);
	if (err != -EBUSY || before != WAS_INCOMPLETE)
		return err;
	error_clear(&req->error);
	return 0;
}

static ssize_t attr_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	enum mapdef_attr attr = open->node->attr->arg;
	struct write_buffer *p = open->priv;
	u32 value;
	int err;

	if (!len)
		return 0;
	err = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, 256);
	if (err)
		return err;
	if (attr == MAPDEF_INNER)
		err = inner_parse(req, p->buf, p->len, &value);
	else
		err = mapdef_parse(attr, p->buf, p->len, &value);
	if (err == TEXT_INCOMPLETE) {
		err = fs_value_await(p, req, write_buffer_ended(p, len, false));
		return err ? err : (ssize_t)len;
	}
	if (err == TEXT_COMPLETE) {
		bool line = p->buf[p->len - 1] == '\n';

		err = set_once(fs_node_base(open->node), req, attr, value);
		if (line || err)
			write_buffer_drop(p, p->len);
		return err ? err : (ssize_t)len;
	}
	if (attr == MAPDEF_INNER)
		; /* resolve_object() said why */
	else if (attr == MAPDEF_TYPE)
		fs_error(req, -err, "%.*s is %s; `cat features` lists those of this build",
			 text_first_line(p->buf, p->len), p->buf,
			 err == -EOPNOTSUPP ? "a map type that this build lacks" : "no map type");
	else
		fs_error(req, -err, "%s takes a number from 0 to %u, decimal or 0x hexadecimal",
			 mapdef_name(attr), UINT32_MAX);
	write_buffer_drop(p, p->len);
	return err;
}

/* A value that never became whole must not vanish without a word. */
static const struct fs_node_ops map_attr_ops = {
	.name = "map attribute",
	.type = S_IFREG,
	.open = attr_open,
	.show = attr_show,
	.write = attr_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};

/* ---- info, stats */

/* The programs that hold the map, also those that sleep. */
static void show_users(struct fs_text *out, const struct bpf_map *map)
{
	struct store_object *obj;
	u32 id = 0;

	fs_text_printf(out, "used_by:");
	for (; !store_next(STORE_PROG, id, &obj); store_put(obj)) {
		id = obj->id;
		if (store_prog_uses(obj, map->id))
			fs_text_printf(out, " %s(%u)", store_name(obj), id);
	}
	fs_text_append(out, "\n", 1);
}

static int info_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct bpf_map *map;
	int err = store_map(node, req, &map);

	if (err)
		return err;
	fs_text_printf(out, "id: %u\nname: %s\ntype: %s\n", map->id, map->name,
		       bpf_map_type_name(map->map_type));
	fs_text_printf(out, "key_size: %u\nvalue_size: %u\nmax_entries: %u\nmap_flags: 0x%x\n",
		       map->key_size, map->value_size, map->max_entries, map->map_flags);
	fs_text_printf(out, "frozen: %d\nmemlock: %llu\n", READ_ONCE(map->frozen),
		       (unsigned long long)bpf_map_mem_usage(map));
	fs_text_printf(out, "btf_key_type_id: %u\nbtf_value_type_id: %u\n", map->btf_key_type_id,
		       map->btf_value_type_id);
	if (map->spin_lock_off >= 0)
		fs_text_printf(out, "spin_lock_off: %d\n", map->spin_lock_off);
	show_users(out, map);
	bpf_map_put(map);
	return 0;
}

static int stats_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct bpf_map_stats stats;
	struct bpf_map *map;
	int err = store_map(node, req, &map);

	if (err)
		return err;
	bpf_map_stats_read(map, &stats);
	fs_text_printf(out, "entries: %llu\nmax_entries: %u\nbytes: %llu\n",
		       (unsigned long long)stats.entries, map->max_entries,
		       (unsigned long long)bpf_map_mem_usage(map));
	fs_text_printf(out, "updates: %llu\ndeletes: %llu\nfailed_updates: %llu\nevictions: %llu\n",
		       (unsigned long long)stats.updates, (unsigned long long)stats.deletes,
		       (unsigned long long)stats.failed_updates,
		       (unsigned long long)stats.evictions);
	bpf_map_put(map);
	return 0;
}

static const struct fs_node_ops map_info_ops = {
	.name = "map info",
	.type = S_IFREG,
	.show = info_show,
};

static const struct fs_node_ops map_stats_ops = {
	.name = "map stats",
	.type = S_IFREG,
	.show = stats_show,
};

/* ---- a map's directory */

static const struct fs_attr map_attrs[] = {
	{"type", 0666, &map_attr_ops, MAPDEF_TYPE},
	{"key_size", 0666, &map_attr_ops, MAPDEF_KEY_SIZE},
	{"value_size", 0666, &map_attr_ops, MAPDEF_VALUE_SIZE},
	{"max_entries", 0666, &map_attr_ops, MAPDEF_MAX_ENTRIES},
	{"map_flags", 0666, &map_attr_ops, MAPDEF_FLAGS},
	{"info", 0444, &map_info_ops, 0},
	{"entries", 0777, &entries_dir_ops, 0},
	{"dump", 0666, &dump_ops, 0},
	{"stats", 0444, &map_stats_ops, 0},
	{"raw", 0444, &raw_ops, 0},
	{"inner_map", 0666, &map_attr_ops, MAPDEF_INNER},
	{"push", 0222, &push_ops, 0},
	{"pop", 0777, &waiting_link_ops, 0},
	{"peek", 0444, &peek_ops, 0},
	{"has", 0222, &has_ops, 0},
	{"records", 0777, &waiting_link_ops, 0},
	{"dump.json", 0666, &json_ops, 0},
	{"symbols", 0666, &symbols_ops, 0},
	{"mem", 0777, &mem_link_ops, 0},
	{"mem", 0444, &mem_file_ops, 0},
	{"consumer", 0666, &ring_consumer_file_ops, STORE_RING_CONSUMER},
	{"consumer", 0777, &ring_consumer_link_ops, STORE_RING_CONSUMER},
	{"ring", 0444, &ring_data_file_ops, STORE_RING_DATA},
	{"ring", 0777, &ring_data_link_ops, STORE_RING_DATA},
	{".pop", 0444, &pop_ops, 0},
	{".records", 0444, &records_ops, 0},
	{"vars", 0777, &vars_dir_ops, 0},
	{"keys", 0666, &keys_ops, 0},
};

/* What kind of map is, or will be, in this directory? BPF_MAP_TYPE_UNSPEC: not known yet. */
static int type_of_dir(struct fs_node *dir, bool alive, u32 *type)
{
	struct store_object *obj;
	struct mapdef def;
	int err;

	*type = BPF_MAP_TYPE_UNSPEC;

	/*
	 * What cannot be read now may be any type: the file is there, and says why it cannot be
	 * used.
	 */
	if (!alive) {
		*type = mapdef_read(fs_node_fd(dir), &def) ? BPF_MAP_TYPE_ARRAY_OF_MAPS
							   : def.value[MAPDEF_TYPE];
		return 0;
	}
	err = store_of_node(dir, &obj);
	if (err)
		return err == -ENOENT ? 0 : err;
	*type = store_map_type(obj);
	store_put(obj);
	return 0;
}

static int has_vars(struct fs_node *dir)
{
	struct store_object *obj;
	int err = store_of_node(dir, &obj);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = obj->map && vars_of(obj->map);
	store_put(obj);
	return err;
}

static bool is_ringmem(const struct fs_attr *attr)
{
	return attr->ops == &ring_consumer_file_ops || attr->ops == &ring_consumer_link_ops ||
	       attr->ops == &ring_data_file_ops || attr->ops == &ring_data_link_ops;
}

/* Is the file of a map's memory here of this kind? */
static int memory_is(struct fs_node *dir, const struct fs_attr *attr)
{
	const struct fs_node_ops *ops;
	struct store_object *obj;
	int err = store_of_node(dir, &obj);

	if (err)
		return err == -ENOENT ? 0 : err;
	ops = is_ringmem(attr) ? ringmem_kind(obj, attr->arg) : mapmem_kind(obj);
	store_put(obj);
	return ops == attr->ops;
}

/* Files that only some types have. */
static bool type_has_file(u32 type, const struct fs_attr *attr)
{
	const struct bpf_map_ops *ops = bpf_map_ops_find(type);
	bool entries = attr->ops == &entries_dir_ops || attr->ops == &dump_ops ||
		       attr->ops == &json_ops || attr->ops == &raw_ops;

	if (attr->ops == &map_attr_ops)
		return mapdef_holds_maps(type);
	if (!ops) /* broken */
		return entries;
	if (attr->ops == &keys_ops)
		return ops->map_iter && !ops->map_push_elem;
	if (attr->ops == &entries_dir_ops && (ops->map_push_elem || !ops->map_iter))
		return false;
	if (entries)
		return ops->map_iter != NULL;
	if (attr->ops == &push_ops)
		return ops->map_push_elem;
	if (attr->ops == &pop_ops || attr->ops == &peek_ops)
		return ops->map_pop_elem;
	if (attr->ops == &has_ops)
		return ops->map_peek_elem && !ops->map_pop_elem;
	return true;
}

/* What the link of that name leads to. */
static const struct fs_attr *waiting_row(const char *name)
{
	const struct fs_attr *attr = map_attrs;

	while (attr->name[0] != '.' || strcmp(attr->name + 1, name))
		attr++;
	return attr;
}

/* Before there is a map there are only its attributes. */
static int map_visible(struct fs_node *dir, u32 row, bool alive)
{
	const struct fs_attr *attr = &map_attrs[row];
	u32 type;
	int err;

	if (!alive && attr->ops != &map_attr_ops)
		return false;
	if (attr->ops == &mem_link_ops || attr->ops == &mem_file_ops || is_ringmem(attr))
		return memory_is(dir, attr);
	if (attr->ops == &vars_dir_ops)
		return has_vars(dir);
	if (attr->ops == &map_info_ops || attr->ops == &map_stats_ops ||
	    (attr->ops == &map_attr_ops && attr->arg != MAPDEF_INNER))
		return true;
	if (attr->ops == &waiting_link_ops)
		attr = waiting_row(attr->name);
	err = type_of_dir(dir, alive, &type);
	if (err)
		return err;
	if (attr->ops == &records_ops)
		return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
	if (attr->ops == &symbols_ops)
		return type == BPF_MAP_TYPE_STACK_TRACE;
	return type_has_file(type, attr);
}

/* Made by mkdir and not yet alive. A map whose name was dropped has lost its definition too. */
static bool map_is_incomplete(struct fs_node *dir)
{
	return !store_node_named(dir) && tree_has(fs_node_fd(dir), MAPDEF_FILE) != 0;
}

/* `rm -r` of an incomplete map goes over its attributes: they go with the directory. */
static int map_unlink_incomplete(struct fs_node *dir, struct fs_req *req, u32 row)
{
	return 0;
}

static const struct objdir_kind map_dir_kind = {
	.object = MAP_LINK,
	.definition = MAPDEF_FILE,
	.attrs = map_attrs,
	.attr_cnt = ARRAY_SIZE(map_attrs),
	.visible = map_visible,
	.unlink_incomplete = map_unlink_incomplete,
	.incomplete = map_is_incomplete,
};

static int map_dir_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			  struct fs_node **out)
{
	/* Which files there are follows from what the map is, and from its types. */
	int err = strcmp(name, MAP_LINK) ? store_wake_node(dir) : 0;

	return err ? err : objdir_lookup(&map_dir_kind, dir, name, out);
}

static int map_dir_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			   void *arg)
{
	int err = store_wake_node(open->node);

	return err ? err : objdir_readdir(&map_dir_kind, open, cursor, emit, arg);
}

static int map_dir_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return objdir_unlink(&map_dir_kind, dir, req, name);
}

static int map_dir_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return objdir_rmdir_child(&map_dir_kind, dir, req, name);
}

static const struct fs_node_ops map_dir_ops = {
	.name = "map",
	.type = S_IFDIR,
	.rows = map_attrs,
	.nr_rows = ARRAY_SIZE(map_attrs),
	.object = MAP_LINK,
	.lookup = map_dir_lookup,
	.readdir = map_dir_readdir,
	.unlink = map_dir_unlink,
	.rmdir = map_dir_rmdir,
	.rows_stat = store_node_stat,
	.free = store_node_free,
};
FS_KIND(map_dir_ops, "map directory");

/* ---- M/maps */

static int maps_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node **out)
{
	int err;

	tree_rdlock();
	err = fs_tree_lookup(dir, name, &map_dir_ops, out);
	tree_unlock();
	return err;
}

static int maps_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			void *arg)
{
	return rows_readdir(open, req, NULL, 0, false, cursor, emit, arg);
}

static int maps_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		      struct fs_node **out)
{
	if (name[0] == '.')
		return fs_error(req, EINVAL, "a map's name does not begin with a dot");
	return objdir_mkdir(dir, req, name, mode, MAPDEF_FILE, &map_dir_ops, out);
}

static int maps_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return objdir_remove(&map_dir_kind, dir, req, name);
}

static int maps_rename(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node *newdir, const char *newname, unsigned int flags)
{
	return objdir_rename_then(dir, req, name, newdir, newname, flags, map_owner_renamed);
}

const struct fs_node_ops maps_dir_ops = {
	.name = "maps",
	.type = S_IFDIR,
	.stable = true,
	.lookup = maps_lookup,
	.readdir = maps_readdir,
	.release = user_release,
	.mkdir = maps_mkdir,
	.rmdir = maps_rmdir,
	.rename = maps_rename,
};
FS_KIND(maps_dir_ops, "maps");
