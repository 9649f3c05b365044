/*
 * recovery.c - the store at its start: what the last server left becomes objects again
 *
 *	1. Loads that did not finish making their names are rolled back (publish.c).
 *	2. Directories of progs/ and maps/ that lost their object in the middle of an rm are
 *	   removed.
 *	3. Named maps are opened (the engine recovers them); named programs are verified and
 *	   compiled again, which opens the maps that they use.
 *	4. Slots of prog arrays get their programs back, which may load programs and open maps
 *	   without a name; again until nothing new comes.
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
#include "fs/store/link.h"
#include "fs/store/names/common_types.h"
#include "fs/store/names/found.h"
#include "fs/store/names/map_owner.h"
#include "fs/store/owner.h"
#include "fs/store/names/publish.h"
#include "fs/node/backing.h"
#include "fs/store/object.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "load.h"
#include "object/image.h"
#include "map/create.h"
#include "map/syscall.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_BTF (64 << 20)

static bool kept; /* something was set aside */

static struct store_object *make_object(const struct found *f, enum store_kind kind)
{
	struct store_object *obj = store_object_new(f->id, kind, &f->st);

	if (obj) {
		obj->st = f->st;
		obj->st_known = true;
	}
	return obj;
}

static int make_broken(struct store_object *obj, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Without memory for the sentence obj is freed. */
static int make_broken(struct store_object *obj, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&obj->broken, fmt, args) < 0)
		obj->broken = NULL;
	va_end(args);
	if (!obj->broken) {
		int err = found_refuse(-ENOMEM, "object", obj->id);

		store_object_drop(obj);
		return err;
	}
	fs_warn("%s", obj->broken);
	kept = true;
	store_adopt_counted(obj);
	return 0;
}

/* 0 and *out, which is NULL when there is no such file. */
static int read_btf(const struct found *f, struct bpf_btf **out)
{
	__do_close int fd = found_open_part(f, STORE_BTF);
	__do_free char *data = NULL;
	struct stat st;
	ssize_t n;

	*out = NULL;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || st.st_size > MAX_BTF)
		return -EINVAL;
	data = malloc(st.st_size);
	if (!data)
		return -ENOMEM;
	n = pread(fd, data, st.st_size, 0);
	if (n != st.st_size)
		return n < 0 ? -errno : -EIO;
	return common_types_get(f->st.st_uid, data, (u32)st.st_size, out);
}

static void types_lost(u32 id, int err)
{
	char path[64];

	snprintf(path, sizeof(path), "objects/%u.btf", id);
	state_problem(path, "types", REMEDY_NONE,
		      "the types of map %u could not be read (%s): it goes on without", id,
		      strerror(-err));
}

/*
 * Types are a help, not the data: without them the map is there all the same, with numbers in its
 * dump.json. An error may pass.
 */
static int start_types(const struct found *f, struct bpf_map *map)
{
	int err;

	if (!map->btf_key_type_id && !map->btf_value_type_id)
		return 0;
	err = read_btf(f, &map->btf);
	if (tree_err_passes(err))
		return err;
	if (err)
		types_lost(map->id, err);
	if (!map->btf)
		map->btf_key_type_id = map->btf_value_type_id = 0;
	return 0;
}

static int open_map(const struct found *f, int fd, struct bpf_map **map)
{
	__do_close int values = fd < 0 ? fd : found_open_part(f, STORE_VALUES);
	int err;

	if (fd < 0 || (values < 0 && values != -ENOENT))
		return values;
	err = bpf_map_open(fd, values < 0 ? -1 : values, map);
	if (err)
		return err;
	err = (*map)->id == f->id ? start_types(f, *map) : -EBADMSG;
	if (err)
		bpf_map_put(*map);
	return err;
}

/* 0: there is an object now, broken perhaps. */
static int start_map(struct found *f, int fd)
{
	struct store_object *obj;
	struct bpf_map *map = NULL;
	int err = open_map(f, fd, &map);

	if (tree_err_passes(err))
		return found_refuse(err, "map", f->id);
	obj = make_object(f, STORE_MAP);
	if (!obj) {
		if (!err)
			bpf_map_put(map);
		return found_refuse(-ENOMEM, "map", f->id);
	}
	f->started = true;
	if (err)
		return make_broken(obj,
				   "map %u could not be opened (%s): its file objects/%u is kept",
				   f->id, strerror(-err), f->id);
	store_adopt_map(obj, map);
	return 0;
}

static int start_prog(struct found *f, int fd);
static int start_link(struct found *f, int fd);

/* 0: there is an object now, broken perhaps, unless it turned out to be of a kind not asked for. */
static int start_kinds(struct found *f, u32 kinds)
{
	__do_close int fd = -1;

	if (f->started || f->foreign || (f->opened && !(kinds & 1u << f->kind)))
		return 0;
	fd = found_open(f);
	if (!(kinds & 1u << f->kind))
		return 0;
	switch (f->kind) {
	case STORE_MAP:
		return start_map(f, fd);
	case STORE_PROG:
		return start_prog(f, fd);
	default:
		return start_link(f, fd);
	}
}

static int start_kind(u32 id, enum store_kind kind)
{
	struct found *f = found_by_id(id);

	return f ? start_kinds(f, 1u << kind) : 0;
}

/*
 * The maps that a program names by id, one reference each. *missing: one that is not there, or
 * broken.
 */
static int collect_maps(const struct bpf_image *image, struct bpf_map **maps, u32 *missing)
{
	for (u32 i = 0; i < image->attr.map_cnt; i++) {
		struct store_object *obj;
		int err = start_kind(image->map_ids[i], STORE_MAP);

		if (err)
			return err;
		if (store_by_id(STORE_MAP, image->map_ids[i], &obj)) {
			*missing = image->map_ids[i];
		} else if (obj->broken) {
			*missing = image->map_ids[i];
			store_put(obj);
		} else {
			maps[i] = obj->map;
		}
	}
	return 0;
}

static int load_again(const struct found *f, const struct bpf_image *image, struct bpf_map **maps,
		      struct bpf_log *report, struct bpf_prog **out)
{
	struct bpf_prog_load_attr attr = image->attr;
	struct bpf_log log;
	int err = 0;

	bpf_log_init(&log, BPF_LOG_LEVEL1 | BPF_LOG_STATS | BPF_LOG_ON_REFUSAL, 0);
	attr.id = f->id;
	attr.maps = maps;
	attr.btf = NULL;
	if (image->btf_size)
		err = common_types_get(f->st.st_uid, image->btf_data, image->btf_size, &attr.btf);
	if (!err)
		err = bpf_prog_load(&attr, &log, report, NULL, out);
	bpf_btf_put(attr.btf);
	if (err)
		bpf_log_printf(report, "\n%s", bpf_log_text(&log));
	bpf_log_free(&log);
	return err;
}

/* A broken program holds its maps as the program would. */
static void keep_maps(struct store_object *obj, struct bpf_map **maps, u32 map_cnt)
{
	for (u32 i = 0; i < map_cnt; i++)
		if (maps[i])
			maps[obj->broken_map_cnt++] = maps[i];
	obj->broken_maps = maps;
}

static void put_maps(struct bpf_map **maps, u32 map_cnt)
{
	for (u32 i = 0; i < map_cnt; i++)
		if (maps[i])
			bpf_map_put(maps[i]);
	free(maps);
}

static int start_image(struct found *f, const struct bpf_image *image)
{
	u32 id = f->id, map_cnt = image->attr.map_cnt, missing = 0;
	struct bpf_map **maps = calloc(map_cnt ? map_cnt : 1, sizeof(*maps));
	const char *name = image->attr.name ? image->attr.name : "";
	struct bpf_prog *prog = NULL;
	struct store_object *obj;
	struct bpf_log report;
	int err = maps ? 0 : -ENOMEM, accepted = 0;

	bpf_log_init(&report, BPF_LOG_LEVEL1, 0);
	if (!err)
		err = collect_maps(image, maps, &missing);
	if (!err && !missing)
		accepted = load_again(f, image, maps, &report, &prog);
	if (tree_err_passes(accepted))
		err = accepted;
	obj = err ? NULL : make_object(f, STORE_PROG);
	if (!obj) {
		bpf_log_free(&report);
		put_maps(maps, maps ? map_cnt : 0);
		if (prog)
			bpf_prog_put(prog);
		return found_refuse(err ? err : -ENOMEM, "program", id);
	}
	f->started = true;
	if (prog) {
		store_adopt_prog(obj, prog);
		put_maps(maps, map_cnt);
	} else {
		keep_maps(obj, maps, map_cnt);
		if (missing)
			err = make_broken(
				obj,
				"program %u (%s) uses map %u, which cannot be read: it is kept", id,
				name, missing);
		else
			err = make_broken(obj,
					  "program %u (%s) is no longer accepted (%s): its log "
					  "says why; it is kept",
					  id, name, strerror(-accepted));
		if (!err && !missing)
			obj->broken_log = move_ptr(report.buf);
	}
	bpf_log_free(&report);
	return err;
}

/* 0: there is an object now, broken perhaps. */
static int start_prog(struct found *f, int fd)
{
	struct store_object *obj;
	struct bpf_image image;
	int err = fd < 0 ? fd : bpf_image_read(fd, &image);

	if (tree_err_passes(err))
		return found_refuse(err, "program", f->id);
	if (err) {
		obj = make_object(f, STORE_PROG);
		if (!obj)
			return found_refuse(-ENOMEM, "program", f->id);
		f->started = true;
		return make_broken(obj,
				   "program %u could not be read (%s): its file objects/%u is kept",
				   f->id, strerror(-err), f->id);
	}
	err = start_image(f, &image);
	bpf_image_free(&image);
	return err;
}

/* The program of a link, with a reference; NULL: it is not there, or broken. */
static int prog_of_link(u32 id, struct bpf_prog **prog)
{
	struct store_object *obj;
	int err = start_kind(id, STORE_PROG);

	*prog = NULL;
	if (err || store_by_id(STORE_PROG, id, &obj))
		return err;
	*prog = obj->prog;
	if (!*prog)
		store_put(obj);
	return 0;
}

/* 0: there is an object now, broken perhaps. */
static int start_link(struct found *f, int fd)
{
	struct bpf_prog *prog = NULL;
	struct link_state state;
	struct store_object *obj;
	int damaged = fd < 0 ? fd : store_link_read(fd, &state), err = 0;

	if (tree_err_passes(damaged))
		return found_refuse(damaged, "link", f->id);
	if (!damaged)
		err = prog_of_link(state.prog_id, &prog);
	if (err)
		return err;
	obj = make_object(f, STORE_LINK);
	err = obj && prog ? store_link_adopt(obj, &state, prog) : 0;
	if (!obj || err) {
		if (prog)
			bpf_prog_put(prog);
		if (obj)
			store_object_drop(obj);
		return found_refuse(-ENOMEM, "link", f->id);
	}
	f->started = true;
	if (damaged)
		return make_broken(obj,
				   "link %u could not be read (%s): its file objects/%u "
				   "is kept",
				   f->id, strerror(-damaged), f->id);
	if (!prog)
		return make_broken(obj,
				   "link %u is of program %u, which cannot be read: it is kept",
				   f->id, state.prog_id);
	return 0;
}

/* What a slot names; a broken object is there, and cannot be had. */
static int slot_object(u32 id, enum store_kind kind, struct store_object **out)
{
	struct found *f = found_by_id(id);
	int err;

	if (!f || f->foreign)
		return -ENOENT;
	err = start_kinds(f, 1u << kind);
	if (err)
		return err;
	if (store_by_id(kind, id, out))
		return -EBADMSG;
	if (!(*out)->broken)
		return 0;
	store_put(*out);
	return -EBADMSG;
}

static int slot_prog(u32 id, void *unused, void **prog)
{
	struct store_object *obj;
	int err = slot_object(id, STORE_PROG, &obj);

	if (!err)
		*prog = obj->prog;
	return err;
}

static int slot_map(u32 id, void *unused, void **map)
{
	struct store_object *obj;
	int err = slot_object(id, STORE_MAP, &obj);

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

			if (f->kind != STORE_MAP || !f->started || f->restored)
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

/* Directories whose object's name was dropped, but whose rmdir never came. ".def": a map to be. */
static int __remove_dropped(const char *parent, const char *object)
{
	__do_close int fd = openat(tree.tree_fd, parent, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	int err = fd < 0 ? -errno : tree_list(fd, false, &names);

	if (err)
		return err;
	for (size_t i = 0; !err && i < names.n; i++) {
		__do_close int dir =
			openat(fd, names.v[i].name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int there;

		if (dir < 0 && (errno == ENOTDIR || errno == ELOOP))
			continue;
		there = dir < 0 ? -errno : tree_has(dir, object);
		if (!there)
			there = tree_has(dir, ".def");
		if (!there)
			there = tree_has(dir, LOAD_DIR_FILE);
		if (there < 0)
			err = there;
		else if (!there && !tree_remove_hidden(dir))
			durable_unlinkat(fd, names.v[i].name, AT_REMOVEDIR);
	}
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
			err = start_kinds(f, all);
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
	if (!err && !shared_taking_over()) /* else somebody may be in the middle of an rm */
		err = load_dir_each(remove_dropped_progs, NULL);
	if (!err)
		err = start_owners();
	if (!err && !shared_taking_over())
		err = load_dir_each(remove_dropped_maps, NULL);
	if (!err)
		err = start_objects();
	if (!err) {
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
	common_types_forget();
	found_forget();
	return err;
}
