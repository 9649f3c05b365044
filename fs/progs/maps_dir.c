/*
 * maps_dir.c - see maps_dir.h
 */
#include "fs/progs/maps_dir.h"
#include "fs/store/objects/object.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"

#include <limits.h>
#include <stdio.h>

/* Where the map is, from M; tree_rdlock is held. Returns its last component. */
static const char *where(const struct store_object *map, char path[PATH_MAX])
{
	if (load_dir_map_path(map, path, PATH_MAX))
		snprintf(path, PATH_MAX, "ids/map/%u", map->id);
	return strrchr(path, '/') + 1;
}

/* The directory of links, from M, has as many components as its link has to go up. */
static int link_readlink(struct fs_node *node, struct fs_req *req, char *buf, size_t len)
{
	char path[PATH_MAX], dir[PATH_MAX], up[64] = "";
	struct store_object *map;
	u32 id;
	int err;

	memcpy(&id, node->key, sizeof(id));
	err = store_by_id(STORE_MAP, id, &map);
	if (err)
		return err;
	fs_node_path(node->dir, NULL, dir, sizeof(dir));
	for (const char *s = dir; s; s = strchr(s + 1, '/'))
		if (strlen(up) + 4 < sizeof(up))
			strcat(up, "../");
	tree_rdlock();
	where(map, path);
	tree_unlock();
	store_put(map);
	return snprintf(buf, len, "%s%s", up, path) < (int)len ? 0 : -ENAMETOOLONG;
}

static void link_name(const struct fs_node *node, struct fs_text *out)
{
	u32 id;

	memcpy(&id, node->key, sizeof(id));
	fs_text_printf(out, "%u", id);
}

static const struct fs_node_ops link_ops = {
	.name = "map of a program",
	.type = S_IFLNK,
	.key_name = link_name,
	.readlink = link_readlink,
};
FS_KIND(link_ops, "map of a program");

static int maps_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node **out)
{
	char path[PATH_MAX];
	struct bpf_prog *prog;
	u32 id = 0;
	int err = store_prog(dir, req, &prog);

	if (err)
		return err;
	tree_rdlock();
	for (u32 i = 0; !id && i < bpf_prog_nr_maps(prog); i++)
		if (!strcmp(where(store_of_map(prog->used_maps[i]), path), name))
			id = prog->used_maps[i]->id;
	tree_unlock();
	bpf_prog_put(prog);
	return id ? fs_node_keyed(dir, &link_ops, &id, sizeof(id), out) : -ENOENT;
}

static int maps_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			void *arg)
{
	struct bpf_prog *prog;
	char path[PATH_MAX];
	bool more = true;

	if (store_prog(open->node, req, &prog)) /* a dropped program reads as empty */
		return 0;
	for (u64 i = cursor; more && i < bpf_prog_nr_maps(prog); i++) {
		const char *name;

		tree_rdlock();
		name = where(store_of_map(prog->used_maps[i]), path);
		tree_unlock();
		more = emit(arg, name, i + 1, S_IFLNK, i + 1);
	}
	bpf_prog_put(prog);
	return 0;
}

/* What rm -r unlinks when the program is gone is gone already. */
static int maps_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	struct bpf_prog *prog;
	int err = store_prog(dir, req, &prog);

	if (err)
		return err == -ENOENT ? 0 : err;
	bpf_prog_put(prog);
	return fs_error(req, EPERM, "this link shows what the program uses, and goes with it");
}

const struct fs_node_ops prog_maps_ops = {
	.name = "maps of a program",
	.type = S_IFDIR,
	.lookup = maps_lookup,
	.readdir = maps_readdir,
	.unlink = maps_unlink,
};
