/*
 * restart.c - the store at its start: what the last server left becomes objects again
 *
 *	1. Loads that did not finish making their names are rolled back (publish.c).
 *	2. Directories of progs/ and maps/ that lost their object in the middle of an rm are removed.
 *	3. Named maps are opened (the engine recovers them); named programs are verified and compiled again, which
 *	   opens the maps that they use.
 *	4. Slots of prog arrays get their programs back, which may load programs and open maps without a name;
 *	   again until nothing new comes.
 *	5. All other files of objects/ are removed.
 *
 * What cannot be read back, or is no longer accepted, stays: a broken object with a sentence that says why.
 * Runs before the mount: one thread, no locks.
 */
#include "fs/loads.h"
#include "fs/publish.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "load.h"
#include "map/arena.h"
#include "object/image.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_BTF (64 << 20)

struct found { /* one file of objects/ */
	u32 id;
	bool is_map, named;
	bool started; /* an object was made of it; the start holds a reference */
	bool restored; /* its slots were filled */
	int err; /* of looking at it */
};

struct found_list {
	struct found *v;
	size_t n;
};

/* The bits are the clients'; the server reads its own files whatever they say. */
static int open_object(u32 id, enum store_part part)
{
	struct stat st;
	char name[32];
	int fd;

	store_part_name(id, part, name);
	fd = openat(tree.objects_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES &&
	    !fstatat(tree.objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) &&
	    !fchmodat(tree.objects_fd, name, st.st_mode | 0600, 0)) {
		fd = openat(tree.objects_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		fchmodat(tree.objects_fd, name, st.st_mode & 07777, 0);
	}
	return fd < 0 ? -errno : fd;
}

static struct found_list list; /* sorted by id */

static int found_compare(const void *a, const void *b)
{
	u32 x = ((const struct found *)a)->id, y = ((const struct found *)b)->id;

	return x < y ? -1 : x > y;
}

static struct found *find_id(u32 id)
{
	struct found key = {.id = id};

	return bsearch(&key, list.v, list.n, sizeof(key), found_compare);
}

/* What store_part_name() made. */
static bool parse_id(const char *name, u32 *id, enum store_part *part)
{
	unsigned long long v;
	char *end, again[32];

	if (!isdigit((unsigned char)name[0]))
		return false;
	v = strtoull(name, &end, 10);
	if (!v || v >= UINT32_MAX)
		return false;
	*id = v;
	for (*part = 0; *part < STORE_PARTS; ++*part)
		if (!strcmp(end, strchrnul(store_part_name(v, *part, again), '.')))
			return true;
	return false;
}

static void look_at(struct found *f)
{
	int fd = open_object(f->id, STORE_OBJECT);
	struct stat st;
	u64 magic = 0;

	if (fd < 0) {
		f->err = fd;
		return;
	}
	if (!fstat(fd, &st))
		f->named = st.st_nlink > 1;
	if (pread(fd, &magic, sizeof(magic), 0) != sizeof(magic))
		f->err = -EBADMSG;
	f->is_map = magic == BPF_ARENA_MAGIC;
	if (!f->is_map && magic != BPF_IMAGE_MAGIC) { /* damaged: its companion tells what it was */
		char values[32];

		store_part_name(f->id, STORE_VALUES, values);
		f->is_map = !fstatat(tree.objects_fd, values, &st, AT_SYMLINK_NOFOLLOW);
	}
	close(fd);
}

static int scan_objects(void)
{
	struct tree_names names;
	int err = tree_list(tree.objects_fd, true, &names);
	u32 last = 0;

	if (err)
		return err;
	list.v = calloc(names.n ? names.n : 1, sizeof(*list.v));
	if (!list.v)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < names.n; i++) {
		struct found *f = &list.v[list.n];
		enum store_part part;

		if (!parse_id(names.v[i].name, &f->id, &part))
			continue;
		last = max(last, f->id);
		if (part != STORE_OBJECT)
			continue;
		look_at(f);
		list.n++;
	}
	tree_names_free(&names);
	qsort(list.v, list.n, sizeof(*list.v), found_compare);
	if (!err && *tree.next_id <= last)
		*tree.next_id = last + 1;
	if (!err && !*tree.next_id)
		*tree.next_id = 1;
	return err;
}

static void remove_unneeded(void)
{
	struct tree_names names;

	if (tree_list(tree.objects_fd, true, &names))
		return;
	for (size_t i = 0; i < names.n; i++) {
		struct found *f;
		enum store_part part;
		u32 id;

		if (!parse_id(names.v[i].name, &id, &part))
			continue;
		f = find_id(id);
		if (!f || (!f->named && !f->started))
			unlinkat(tree.objects_fd, names.v[i].name, 0);
	}
	tree_names_free(&names);
}

static struct store_object *make_object(u32 id, enum store_kind kind)
{
	struct store_object *obj = calloc(1, sizeof(*obj));
	struct stat st;

	if (!obj)
		return NULL;
	obj->id = id;
	obj->kind = kind;
	if (!store_stat(obj, &st))
		obj->ino = st.st_ino;
	return obj;
}

static void make_broken(struct store_object *obj, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void make_broken(struct store_object *obj, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&obj->broken, fmt, args) < 0)
		obj->broken = NULL;
	va_end(args);
	if (!obj->broken)
		obj->broken = strdup("could not be read back");
	fs_warn("%s", obj->broken ? obj->broken : "an object could not be read back");
	store_adopt_broken(obj);
}

/* 0 and *out, which is NULL when there is no such file. */
static int read_btf(u32 id, struct bpf_btf **out)
{
	__do_close int fd = open_object(id, STORE_BTF);
	__do_free char *data = NULL;
	struct stat st;
	ssize_t n;

	*out = NULL;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > MAX_BTF)
		return -EINVAL;
	data = malloc(st.st_size);
	if (!data)
		return -ENOMEM;
	n = pread(fd, data, st.st_size, 0);
	if (n != st.st_size)
		return n < 0 ? -errno : -EIO;
	return bpf_btf_new(data, st.st_size, out);
}

/* Types are a help, not the data: without them the map is there all the same, with numbers in its dump.json. */
static void start_types(struct bpf_map *map)
{
	int err;

	if (!map->btf_key_type_id && !map->btf_value_type_id)
		return;
	err = read_btf(map->id, &map->btf);
	if (err)
		fs_warn("the types of map %u could not be read (%s): it goes on without", map->id,
			strerror(-err));
	if (!map->btf)
		map->btf_key_type_id = map->btf_value_type_id = 0;
}

static int start_map(struct found *f)
{
	struct store_object *obj = make_object(f->id, STORE_MAP);
	int fd = open_object(f->id, STORE_OBJECT), values = open_object(f->id, STORE_VALUES);
	struct bpf_map *map = NULL;
	int err;

	if (!obj)
		return -ENOMEM;
	f->started = true;
	err = fd < 0 ? fd : bpf_map_open(fd, values < 0 ? -1 : values, &map);
	if (!err && map->id != f->id) {
		bpf_map_put(map);
		err = -EBADMSG;
	}
	if (fd >= 0)
		close(fd);
	if (values >= 0)
		close(values);
	if (err)
		make_broken(obj, "map %u could not be opened (%s): its file objects/%u is kept",
			    f->id, strerror(-err), f->id);
	else {
		start_types(map);
		store_adopt_map(obj, map);
	}
	return 0;
}

/* The maps that a program names by id, one reference each. */
static int collect_maps(const struct bpf_image *image, struct bpf_map **maps, u32 *missing)
{
	int err = 0;

	for (u32 i = 0; i < image->attr.map_cnt; i++) {
		struct found *f = find_id(image->map_ids[i]);
		struct store_object *obj;

		if (f && f->is_map && !f->started)
			start_map(f);
		if (store_by_id(STORE_MAP, image->map_ids[i], &obj)) {
			*missing = image->map_ids[i];
			err = -ENOENT;
		} else if (obj->broken) {
			*missing = image->map_ids[i];
			err = -EBADMSG;
			store_put(obj);
		} else {
			maps[i] = obj->map;
		}
	}
	return err;
}

static int load_again(const struct bpf_image *image, u32 id, struct bpf_map **maps,
		      struct bpf_log *report, struct bpf_prog **out)
{
	struct bpf_prog_load_attr attr = image->attr;
	struct bpf_log log;
	int err = 0;

	bpf_log_init(&log, BPF_LOG_LEVEL1 | BPF_LOG_STATS, 0);
	attr.id = id;
	attr.maps = maps;
	attr.btf = NULL;
	if (image->btf_size)
		err = bpf_btf_new(image->btf_data, image->btf_size, &attr.btf);
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

static int start_image(struct store_object *obj, const struct bpf_image *image)
{
	u32 map_cnt = image->attr.map_cnt, missing = 0;
	struct bpf_map **maps = calloc(map_cnt ? map_cnt : 1, sizeof(*maps));
	const char *name = image->attr.name ? image->attr.name : "";
	struct bpf_prog *prog = NULL;
	struct bpf_log report;
	int err;

	if (!maps)
		return -ENOMEM;
	bpf_log_init(&report, BPF_LOG_LEVEL1, 0);
	err = collect_maps(image, maps, &missing);
	if (err) {
		make_broken(obj, "program %u (%s) uses map %u, which cannot be read: it is kept",
			    obj->id, name, missing);
	} else if ((err = load_again(image, obj->id, maps, &report, &prog))) {
		make_broken(
			obj,
			"program %u (%s) is no longer accepted (%s): its log says why; it is kept",
			obj->id, name, strerror(-err));
		obj->broken_log = move_ptr(report.buf);
	} else {
		store_adopt_prog(obj, prog);
	}
	bpf_log_free(&report);
	if (obj->broken) {
		keep_maps(obj, maps, map_cnt);
		return 0;
	}
	for (u32 i = 0; i < map_cnt; i++)
		bpf_map_put(maps[i]);
	free(maps);
	return 0;
}

static int start_prog(struct found *f)
{
	struct store_object *obj = make_object(f->id, STORE_PROG);
	struct bpf_image image;
	int fd, err;

	if (!obj)
		return -ENOMEM;
	f->started = true;
	fd = open_object(f->id, STORE_OBJECT);
	err = fd < 0 ? fd : bpf_image_read(fd, &image);
	if (fd >= 0)
		close(fd);
	if (err) {
		make_broken(obj, "program %u could not be read (%s): its file objects/%u is kept",
			    f->id, strerror(-err), f->id);
		return 0;
	}
	err = start_image(obj, &image);
	bpf_image_free(&image);
	return err;
}

/* What a prog array's slot names. */
static void *slot_prog(u32 id, void *unused)
{
	struct found *f = find_id(id);
	struct store_object *obj;

	if (f && !f->is_map && !f->started)
		start_prog(f);
	if (store_by_id(STORE_PROG, id, &obj))
		return NULL;
	if (!obj->broken)
		return obj->prog;
	store_put(obj);
	return NULL;
}

/* What a map of maps' slot names. */
static void *slot_map(u32 id, void *unused)
{
	struct found *f = find_id(id);
	struct store_object *obj;

	if (f && f->is_map && !f->started)
		start_map(f);
	if (store_by_id(STORE_MAP, id, &obj))
		return NULL;
	if (!obj->broken)
		return obj->map;
	store_put(obj);
	return NULL;
}

/* Filling one array's slots may open another. */
static void restore_slots(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < list.n; i++) {
			struct found *f = &list.v[i];
			struct store_object *obj;

			if (!f->is_map || !f->started || f->restored)
				continue;
			f->restored = more = true;
			if (store_by_id(STORE_MAP, f->id, &obj))
				continue;
			if (obj->map)
				bpf_map_restore_slots(
					obj->map, obj->map->inner_map_meta ? slot_map : slot_prog,
					NULL);
			store_put(obj);
		}
	}
}

/* Directories whose object's name was dropped, but whose rmdir never came. ".def": a map to be. */
static void remove_dropped(const char *parent, const char *object)
{
	int fd = openat(tree.tree_fd, parent, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	struct stat st;

	if (fd < 0)
		return;
	if (tree_list(fd, true, &names)) {
		close(fd);
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		__do_close int dir =
			openat(fd, names.v[i].name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (dir < 0 || !fstatat(dir, object, &st, AT_SYMLINK_NOFOLLOW) ||
		    !fstatat(dir, ".def", &st, AT_SYMLINK_NOFOLLOW))
			continue;
		tree_remove_hidden(dir);
		unlinkat(fd, names.v[i].name, AT_REMOVEDIR);
	}
	tree_names_free(&names);
	close(fd);
}

/* The names' references are taken; then the start's go. */
static void settle(void)
{
	for (size_t i = 0; i < list.n; i++) {
		struct found *f = &list.v[i];
		struct store_object *obj;

		if (!f->started || store_by_id(f->is_map ? STORE_MAP : STORE_PROG, f->id, &obj))
			continue;
		store_names_changed(obj);
		store_put(obj);
		store_put(obj); /* the one that opening or loading gave */
	}
}

int store_start(void)
{
	int err;

	publish_recover();
	remove_dropped("progs", "prog");
	loads_sweep();
	remove_dropped("maps", "map");
	err = scan_objects();
	for (size_t i = 0; !err && i < list.n; i++)
		if (list.v[i].is_map && list.v[i].named && !list.v[i].started)
			err = start_map(&list.v[i]);
	for (size_t i = 0; !err && i < list.n; i++)
		if (!list.v[i].is_map && list.v[i].named && !list.v[i].started)
			err = start_prog(&list.v[i]);
	if (!err) {
		restore_slots();
		remove_unneeded();
		settle();
	}
	free(list.v);
	memset(&list, 0, sizeof(list));
	return err;
}
