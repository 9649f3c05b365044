/*
 * recovery.c - the store at its start: what the last server left is there again
 *
 *	1. Loads that did not finish making their names are rolled back (publish.c).
 *	2. Directories of progs/ and maps/ that lost their object in the middle of an rm are
 *	   removed.
 *	3. Named maps and programs, and the maps that such programs use, become objects that sleep
 *	   (read_back.h).
 *	4. Maps whose slots hold objects get those back, which may find more without a name; again
 *	   until nothing new comes.
 *	5. All other files of objects/ are removed.
 *
 * What cannot be read back, or is no longer accepted, stays: a broken object with a sentence that
 * says why. When something was set aside so, this start removes no file: what it would have named
 * is not known. An error that may pass (no memory, no descriptors) refuses the start, and so does a
 * directory that cannot be read: nothing was changed then. Only ENOENT means absent.
 * Runs before the mount: one thread, no locks.
 */
#include "fs/store/names/recovery.h"
#include "fs/keeper/shared.h"
#include "fs/store/once.h"
#include "fs/store/names/common_types.h"
#include "fs/store/names/found.h"
#include "fs/store/names/map_owner.h"
#include "fs/store/owner.h"
#include "fs/store/names/publish.h"
#include "fs/store/names/read_back.h"
#include "fs/node/backing.h"
#include "fs/store/objects/names.h"
#include "fs/store/objects/object.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "map/syscall.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

static bool kept; /* some slot's object cannot be had */

static int slot_prog(u32 id, void *unused, void **prog)
{
	struct store_object *obj;
	int err = read_back_get(id, STORE_PROG, &obj);

	if (!err)
		*prog = obj->prog;
	return err;
}

static int slot_map(u32 id, void *unused, void **map)
{
	struct store_object *obj;
	int err = read_back_get(id, STORE_MAP, &obj);

	if (!err)
		*map = obj->map;
	return err;
}

static int restore_map(struct bpf_map *map)
{
	int left = bpf_map_restore_slots(map, map->inner_map_meta ? slot_map : slot_prog, NULL);
	char path[64];

	if (found_refused())
		return found_refused();
	if (left < 0)
		return found_refuse(left, "map", map->id);
	if (left) {
		snprintf(path, sizeof(path), "objects/%u", map->id);
		state_problem(
			path, "slots", REMEDY_NONE,
			"map %u: %d slots are empty for now, because what they name cannot be "
			"had or does not fit; their ids are kept",
			map->id, left);
		kept = true;
	}
	return 0;
}

/* Filling one array's slots may open another. */
static int restore_slots(void)
{
	bool more = true;
	int err = 0;

	while (!err && more) {
		more = false;
		for (struct found *f = found_next(NULL); !err && f; f = found_next(f)) {
			struct store_object *obj;

			if (!f->at_start || f->restored)
				continue;
			f->restored = more = true;
			if (store_by_id(STORE_MAP, f->id, &obj))
				continue;
			if (obj->map)
				err = restore_map(obj->map);
			store_put(obj);
		}
	}
	return err;
}

/* Its object's name was dropped, but its rmdir never came? ".def": a map to be. */
static int remove_if_dropped(int parent, const char *name, const char *object)
{
	__do_close int dir = -1;
	char path[PATH_MAX];
	int there;

	snprintf(path, sizeof(path), "%s/%s", name, object);
	if (tree_has(parent, path) > 0) /* most have it */
		return 0;
	dir = openat(parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 && (errno == ENOTDIR || errno == ELOOP))
		return 0;
	there = dir < 0 ? -errno : tree_has(dir, object);
	if (!there)
		there = tree_has(dir, ".def");
	if (!there)
		there = tree_has(dir, LOAD_DIR_FILE);
	if (there < 0)
		return there;
	if (!there && !tree_remove_hidden(dir, NULL))
		durable_unlinkat(parent, name, AT_REMOVEDIR);
	return 0;
}

static int __remove_dropped(const char *parent, const char *object)
{
	__do_close int fd = openat(tree.tree_fd, parent, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	int err = fd < 0 ? -errno : tree_list(fd, false, &names);

	if (err)
		return err;
	for (size_t i = 0; !err && i < names.n; i++)
		err = remove_if_dropped(fd, names.v[i].name, object);
	tree_names_free(&names);
	return err;
}

/* The start's references of what only open files need, until those are there again. */
static struct {
	struct store_object **v;
	size_t n;
} open_ones;

static bool hold_open(struct store_object *obj)
{
	struct store_object **v = realloc(open_ones.v, (open_ones.n + 1) * sizeof(*v));

	if (!v)
		return false;
	open_ones.v = v;
	v[open_ones.n++] = obj;
	return true;
}

static void let_open_ones(void)
{
	while (open_ones.n)
		store_put(open_ones.v[--open_ones.n]);
	free(open_ones.v);
	open_ones.v = NULL;
}

static int remove_dropped_progs(void *arg, const char *progs, const char *maps)
{
	return __remove_dropped(progs, "prog");
}

static int remove_dropped_maps(void *arg, const char *progs, const char *maps)
{
	return __remove_dropped(maps, "map");
}

/*
 * The names' references are taken; then the start's go. A broken object without a name is held by
 * what could not be looked at: it stays.
 */
static void drop_start_references(void)
{
	for (struct found *f = found_next(NULL); f; f = found_next(f)) {
		struct store_object *obj;

		if (!f->started || store_by_id(f->kind, f->id, &obj))
			continue;
		store_count_names(obj);
		if (f->open && hold_open(obj))
			;
		else if (!obj->broken || f->named)
			store_put(obj); /* the one that opening or loading gave */
		store_put(obj);
	}
}

/* What has a name, and what that needs. */
static int start_objects(void)
{
	const u32 all = (1u << STORE_KINDS) - 1;
	int err = found_scan();

	for (struct found *f = found_next(NULL); !err && f; f = found_next(f))
		if (f->named || f->open)
			err = read_back_found(f, all);
	return err ? err : restore_slots();
}

/* What cannot be looked at keeps its name. */
static int start_owners(void)
{
	int err = map_owner_start();

	if (err && !tree_err_passes(err)) {
		state_problem("tree", "owners", REMEDY_NONE,
			      "a map that a load named cannot be looked at (%s): it keeps its name",
			      strerror(-err));
		err = 0;
	}
	return err;
}

int store_start(void)
{
	int err;

	kept = false;
	read_back_start();
	fs_backing.chown = store_chown;
	fs_backing.changed = durable_file;
	fs_backing.sync = store_node_sync;
	if (durable_mode() == DURABLE_CLOSE)
		fs_backing.closed = store_node_closed;
	store_restore_nodes();
	fs_backing.all_restored = let_open_ones;
	store_keep_files(true);
	bpf_map_keep_slots = true;
	err = publish_recover();
	if (!err)
		err = load_dir_hold();
	if (!err && !shared_taking_over()) /* else somebody may be in the middle of an rm */
		err = load_dir_each(remove_dropped_progs, NULL);
	if (!err)
		err = start_owners();
	if (!err && !shared_taking_over())
		err = load_dir_each(remove_dropped_maps, NULL);
	load_dir_let();
	if (!err)
		err = start_objects();
	if (!err) {
		kept |= read_back_set_aside();
		if (!kept)
			found_remove_unneeded();
		store_keep_files(kept);
		bpf_map_keep_slots = kept;
		drop_start_references();
		if (kept) {
			bpf_rcu_barrier();
			bpf_rcu_barrier();
		}
		store_keep_files(false);
		bpf_map_keep_slots = false;
		map_once_recover();
	}
	if (err)
		common_types_forget();
	found_forget();
	return err;
}
