/*
 * read_back.c - see read_back.h
 */
#include "fs/store/names/read_back.h"
#include "fs/caller/strict.h"
#include "fs/store/link.h"
#include "fs/store/names/common_types.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/files.h"
#include "load.h"
#include "object/image.h"
#include "map/create.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#define MAX_BTF (64 << 20)

static bool set_aside; /* some object is broken */

bool read_back_set_aside(void)
{
	return __atomic_load_n(&set_aside, __ATOMIC_RELAXED);
}

/* ---- what cannot be read */

static char *sentence(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Said, and kept; NULL without memory. */
static char *sentence(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		fs_warn("%s", text);
	__atomic_store_n(&set_aside, true, __ATOMIC_RELAXED);
	return text;
}

static char *unreadable(enum store_kind kind, u32 id, int err)
{
	switch (kind) {
	case STORE_MAP:
		return sentence("map %u could not be opened (%s): its file objects/%u is kept", id,
				strerror(-err), id);
	case STORE_PROG:
		return sentence("program %u could not be read (%s): its file objects/%u is kept",
				id, strerror(-err), id);
	default:
		return sentence("link %u could not be read (%s): its file objects/%u is kept", id,
				strerror(-err), id);
	}
}

static char *needs_map(u32 id, const char *name, u32 map_id)
{
	return sentence("program %u (%s) uses map %u, which cannot be read: it is kept", id, name,
			map_id);
}

/* ---- a start: objects of what was found */

static struct store_object *make_object(const struct found *f, enum store_kind kind)
{
	struct store_object *obj = store_object_new(f->id, kind, &f->st);

	if (obj) {
		obj->st = f->st;
		obj->st_known = true;
	}
	return obj;
}

/* Without memory for the sentence obj is freed. */
static int make_broken(struct found *f, struct store_object *obj, char *text)
{
	if (!text) {
		store_object_drop(obj);
		return found_refuse(-ENOMEM, "object", f->id);
	}
	obj->broken = text;
	f->started = true;
	store_adopt_counted(obj);
	return 0;
}

static int make_unreadable(struct found *f, enum store_kind kind, int err)
{
	struct store_object *obj = make_object(f, kind);

	return obj ? make_broken(f, obj, unreadable(kind, f->id, err))
		   : found_refuse(-ENOMEM, "object", f->id);
}

static u64 file_bytes(const struct stat *st)
{
	return min((u64)st->st_size, (u64)st->st_blocks * 512);
}

static int look_at_map(const struct found *f, int fd, struct bpf_map_look *look, u64 *bytes)
{
	struct stat values, types;
	int err = fd < 0 ? fd : found_stat_part(f, STORE_VALUES, &values);

	if (err && (fd < 0 || err != -ENOENT))
		return err;
	err = bpf_map_look(fd, &f->st, err ? NULL : &values, look);
	if (!err && look->id != f->id)
		err = -EBADMSG;
	*bytes = look->bytes;
	if (!err && (look->spec.btf_key_type_id || look->spec.btf_value_type_id) &&
	    !found_stat_part(f, STORE_BTF, &types))
		*bytes += file_bytes(&types);
	return err;
}

/* 0: there is an object now, broken perhaps. */
static int start_map(struct found *f, int fd)
{
	struct bpf_map_look look = {0};
	struct store_object *obj;
	struct store_seen *seen;
	u64 bytes = 0;
	int err = look_at_map(f, fd, &look, &bytes);

	if (tree_err_passes(err))
		return found_refuse(err, "map", f->id);
	if (err)
		return make_unreadable(f, STORE_MAP, err);
	obj = make_object(f, STORE_MAP);
	seen = calloc(1, sizeof(*seen));
	if (!obj || !seen) {
		if (obj)
			store_object_drop(obj);
		free(seen);
		return found_refuse(-ENOMEM, "map", f->id);
	}
	seen->map = look;
	memcpy(seen->name, look.spec.name, sizeof(look.spec.name));
	store_adopt_asleep(obj, seen, bytes);
	f->started = true;
	f->at_start = look.at_start;
	err = look.at_start ? store_wake(obj) : 0;
	return err ? found_refuse(err, "map", f->id) : 0;
}

/* *missing: a map that is not there, or broken. */
static int find_uses(struct store_seen *seen, u32 *missing)
{
	for (u32 i = 0; i < seen->nr_uses; i++) {
		struct found *f = found_by_id(seen->use_ids[i]);
		struct store_object *map;
		int err = f ? read_back_found(f, 1u << STORE_MAP) : 0;

		if (err)
			return err;
		if (store_by_id(STORE_MAP, seen->use_ids[i], &map)) {
			*missing = seen->use_ids[i];
			continue;
		}
		if (map->broken)
			*missing = seen->use_ids[i];
		seen->uses[i] = store_use(map);
		store_put(map);
	}
	return 0;
}

static struct store_seen *seen_of_image(const struct bpf_image *image)
{
	struct store_seen *seen = calloc(1, sizeof(*seen));
	u32 n = image->attr.map_cnt;

	if (!seen)
		return NULL;
	snprintf(seen->name, sizeof(seen->name), "%s", image->attr.name ? image->attr.name : "");
	seen->nr_uses = n;
	seen->use_ids = malloc((n ? n : 1) * sizeof(*seen->use_ids));
	seen->uses = calloc(n ? n : 1, sizeof(*seen->uses));
	if (!seen->use_ids || !seen->uses) {
		store_seen_free(seen);
		return NULL;
	}
	if (n)
		memcpy(seen->use_ids, image->map_ids, n * sizeof(*seen->use_ids));
	return seen;
}

/* 0: there is an object now, broken perhaps. */
static int start_prog(struct found *f, int fd)
{
	struct store_object *obj;
	struct store_seen *seen;
	struct bpf_image image;
	u32 missing = 0;
	int err = fd < 0 ? fd : bpf_image_read(fd, &image);

	if (tree_err_passes(err))
		return found_refuse(err, "program", f->id);
	if (err)
		return make_unreadable(f, STORE_PROG, err);
	seen = seen_of_image(&image);
	bpf_image_free(&image);
	obj = seen ? make_object(f, STORE_PROG) : NULL;
	if (!obj) {
		store_seen_free(seen);
		return found_refuse(-ENOMEM, "program", f->id);
	}
	f->started = true;
	store_adopt_asleep(obj, seen, file_bytes(&f->st));
	err = find_uses(seen, &missing);
	if (!err && missing) {
		char *text = needs_map(f->id, seen->name, missing);

		if (!text)
			return found_refuse(-ENOMEM, "program", f->id);
		store_awake_broken(obj, text, NULL);
	}
	return err;
}

int read_back_get(u32 id, enum store_kind kind, struct store_object **out)
{
	struct found *f = found_by_id(id);
	int err;

	if (!f || f->foreign)
		return -ENOENT;
	err = read_back_found(f, 1u << kind);
	if (err)
		return err;
	if (store_by_id(kind, id, out))
		return -EBADMSG;
	err = store_wake(*out);
	if (err)
		found_refuse(err, "object", id);
	else if ((*out)->broken)
		err = -EBADMSG;
	if (err)
		store_put(*out);
	return err;
}

/* 0: there is an object now, broken perhaps. */
static int start_link(struct found *f, int fd)
{
	struct store_object *obj, *prog = NULL;
	struct link_state state;
	int err = fd < 0 ? fd : store_link_read(fd, &state);

	if (tree_err_passes(err))
		return found_refuse(err, "link", f->id);
	if (err)
		return make_unreadable(f, STORE_LINK, err);
	if (read_back_get(state.prog_id, STORE_PROG, &prog))
		prog = NULL;
	if (found_refused()) {
		store_put(prog);
		return found_refused();
	}
	obj = make_object(f, STORE_LINK);
	if (!obj || (prog && store_link_adopt(obj, &state, prog->prog))) {
		if (obj)
			store_object_drop(obj);
		store_put(prog);
		return found_refuse(-ENOMEM, "link", f->id);
	}
	if (!prog)
		return make_broken(f, obj,
				   sentence("link %u is of program %u, which cannot be read: it is "
					    "kept",
					    f->id, state.prog_id));
	f->started = true;
	return 0;
}

int read_back_found(struct found *f, u32 kinds)
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

/* ---- waking */

/* Its file, which a start has found to be a regular one. -ENOENT: it has none of that. */
static int open_part(const struct store_object *obj, enum store_part part)
{
	struct stat st;
	char name[32];

	if (fstatat(tree.objects_fd, store_part_name(obj->id, part, name), &st,
		    AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? store_part_open_own(obj->id, part) : -EBADMSG;
}

/* 0 and *out, which is NULL when there is no such file. */
static int read_types(const struct store_object *obj, struct bpf_btf **out)
{
	__do_close int fd = open_part(obj, STORE_BTF);
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
	return common_types_get(READ_ONCE(obj->owner), data, (u32)st.st_size, out);
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
static int types_of_map(const struct store_object *obj, struct bpf_map *map)
{
	int err;

	if (!map->btf_key_type_id && !map->btf_value_type_id)
		return 0;
	err = read_types(obj, &map->btf);
	if (tree_err_passes(err))
		return err;
	if (err)
		types_lost(map->id, err);
	if (!map->btf)
		map->btf_key_type_id = map->btf_value_type_id = 0;
	return 0;
}

static int open_map(const struct store_object *obj, struct bpf_map **map)
{
	__do_close int fd = open_part(obj, STORE_OBJECT);
	__do_close int values = fd < 0 ? fd : open_part(obj, STORE_VALUES);
	int err;

	if (fd < 0 || (values < 0 && values != -ENOENT))
		return values;
	err = bpf_map_open(fd, values < 0 ? -1 : values, map);
	if (err)
		return err;
	err = (*map)->id == obj->id ? types_of_map(obj, *map) : -EBADMSG;
	if (err)
		bpf_map_put(*map);
	return err;
}

static int broken(struct store_object *obj, char *text, char *log)
{
	if (!text) {
		free(log);
		return -ENOMEM;
	}
	store_awake_broken(obj, text, log);
	return 0;
}

static int wake_map(struct store_object *obj)
{
	struct bpf_map *map;
	int err = open_map(obj, &map);

	if (tree_err_passes(err))
		return err;
	if (err)
		return broken(obj, unreadable(STORE_MAP, obj->id, err), NULL);
	store_awake_map(obj, map);
	return 0;
}

/* *missing: one that is broken. The program's uses keep them. */
static int wake_uses(const struct store_object *obj, struct bpf_map **maps, u32 *missing)
{
	for (u32 i = 0; i < obj->seen->nr_uses; i++) {
		struct store_object *map = obj->seen->uses[i];
		int err = store_wake(map);

		if (err)
			return err;
		if (map->broken)
			*missing = map->id;
		maps[i] = map->map;
	}
	return 0;
}

static int load_again(const struct store_object *obj, const struct bpf_image *image,
		      struct bpf_map **maps, struct bpf_log *report, struct bpf_prog **out)
{
	struct bpf_prog_load_attr attr = image->attr;
	struct bpf_log log;
	int err = 0;

	bpf_log_init(&log, BPF_LOG_LEVEL1 | BPF_LOG_STATS | BPF_LOG_ON_REFUSAL, 0);
	if (!image->knows_strict)
		attr.prog_flags |= strict_flags(READ_ONCE(obj->owner));
	attr.id = obj->id;
	attr.maps = maps;
	attr.btf = NULL;
	if (image->btf_size)
		err = common_types_get(READ_ONCE(obj->owner), image->btf_data, image->btf_size,
				       &attr.btf);
	if (!err)
		err = bpf_prog_load(&attr, &log, report, NULL, out);
	bpf_btf_put(attr.btf);
	if (err)
		bpf_log_printf(report, "\n%s", bpf_log_text(&log));
	bpf_log_free(&log);
	return err;
}

static int wake_image(struct store_object *obj, const struct bpf_image *image)
{
	__do_free struct bpf_map **maps = calloc(obj->seen->nr_uses + 1, sizeof(*maps));
	struct bpf_prog *prog = NULL;
	struct bpf_log report;
	u32 missing = 0;
	int err = maps ? wake_uses(obj, maps, &missing) : -ENOMEM;

	if (err)
		return err;
	if (missing)
		return broken(obj, needs_map(obj->id, obj->seen->name, missing), NULL);
	bpf_log_init(&report, BPF_LOG_LEVEL1, 0);
	err = load_again(obj, image, maps, &report, &prog);
	if (!err) {
		store_awake_prog(obj, prog);
	} else if (!tree_err_passes(err)) {
		err = broken(obj,
			     sentence("program %u (%s) is no longer accepted (%s): its log says "
				      "why; it is kept",
				      obj->id, obj->seen->name, strerror(-err)),
			     move_ptr(report.buf));
	}
	bpf_log_free(&report);
	return err;
}

static int wake_prog(struct store_object *obj)
{
	__do_close int fd = open_part(obj, STORE_OBJECT);
	struct bpf_image image;
	int err = fd < 0 ? fd : bpf_image_read(fd, &image);

	if (!err && (image.attr.map_cnt != obj->seen->nr_uses ||
		     (obj->seen->nr_uses && memcmp(image.map_ids, obj->seen->use_ids,
						   obj->seen->nr_uses * sizeof(u32))))) {
		bpf_image_free(&image);
		err = -EBADMSG; /* somebody wrote to it */
	}
	if (tree_err_passes(err))
		return err;
	if (err)
		return broken(obj, unreadable(STORE_PROG, obj->id, err), NULL);
	err = wake_image(obj, &image);
	bpf_image_free(&image);
	return err;
}

static int read_back(struct store_object *obj)
{
	return obj->kind == STORE_MAP ? wake_map(obj) : wake_prog(obj);
}

void read_back_start(void)
{
	store_read_back = read_back;
	set_aside = false;
}
