/*
 * found.c - see found.h
 */
#include "fs/store/names/found.h"
#include "fs/keeper/open_records.h"
#include "fs/store/link.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/files.h"
#include "map/arena/arena.h"
#include "object/image.h"

#include <fcntl.h>
#include <stdio.h>

static struct {
	struct found *v; /* sorted by id */
	size_t n;
} list;
static int failed; /* the first error that refuses this start */

int found_stat_part(const struct found *f, enum store_part part, struct stat *st)
{
	char name[32];

	if (!S_ISREG(f->type[part]))
		return f->type[part] ? -EBADMSG : -ENOENT;
	return fstatat(tree.objects_fd, store_part_name(f->id, part, name), st,
		       AT_SYMLINK_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

int found_refuse(int err, const char *what, u32 id)
{
	if (!failed)
		fs_warn("%s %u cannot be read now (%s): this start is refused and removes nothing",
			what, id, strerror(-err));
	failed = failed ? failed : err;
	return err;
}

static int found_compare(const void *a, const void *b)
{
	u32 x = ((const struct found *)a)->id, y = ((const struct found *)b)->id;

	return x < y ? -1 : x > y;
}

struct found *found_by_id(u32 id)
{
	struct found key = {.id = id};

	return bsearch(&key, list.v, list.n, sizeof(key), found_compare);
}

/* What store_part_name() made. */
static bool parse_id(const char *name, u32 *id, enum store_part *part)
{
	unsigned long long v;
	char *end;

	if (name[0] < '1' || name[0] > '9')
		return false;
	v = strtoull(name, &end, 10);
	if (v >= UINT32_MAX)
		return false;
	*id = v;
	for (*part = 0; *part < STORE_PARTS; ++*part)
		if (!strcmp(end, store_part_suffix(*part)))
			return true;
	return false;
}

static int look_at(struct found *f)
{
	char name[32], path[64];

	store_part_name(f->id, STORE_OBJECT, name);
	if (fstatat(tree.objects_fd, name, &f->st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(f->st.st_mode)) {
		f->foreign = true;
		snprintf(path, sizeof(path), "objects/%u", f->id);
		state_problem(path, "foreign", REMEDY_NONE, "it is no regular file");
		return 0;
	}
	f->named = f->st.st_nlink > 1;
	f->open = !f->named && open_records_have(f->id);
	return 0;
}

/*
 * Companions alone are never left by us (store_remove_files()): they may be what is left of
 * somebody's values.
 */
static int look_at_companion(const struct tree_name *name)
{
	enum store_part part;
	struct found *f;
	char path[64];
	struct stat st;
	u32 id;

	if (!parse_id(name->name, &id, &part) || part == STORE_OBJECT)
		return 0;
	f = found_by_id(id);
	if (!f) {
		snprintf(path, sizeof(path), "objects/%s", name->name);
		state_problem(path, "companion", REMEDY_NONE, "it belongs to no object");
		return 0;
	}
	f->type[part] = name->type;
	if (name->type) /* else this filesystem's listings do not say it */
		return 0;
	if (fstatat(tree.objects_fd, name->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return found_refuse(-errno, "object", id);
	f->type[part] = st.st_mode & S_IFMT;
	return 0;
}

int found_scan(void)
{
	struct tree_names names;
	int err = tree_list_unsorted(tree.objects_fd, true, &names);
	u32 last = 0;

	failed = 0;
	if (err) {
		fs_warn("objects cannot be listed (%s)", strerror(-err));
		return err;
	}
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
		err = look_at(f);
		if (err)
			found_refuse(err, "object", f->id);
		list.n++;
	}
	if (!err && list.n)
		qsort(list.v, list.n, sizeof(*list.v), found_compare);
	for (size_t i = 0; !err && i < names.n; i++)
		err = look_at_companion(&names.v[i]);
	tree_names_free(&names);
	if (err)
		return err;
	if (*tree.next_id >= UINT32_MAX) /* damaged: no id was ever as high */
		*tree.next_id = 0;
	store_id_seen(last);
	return 0;
}

int found_open(struct found *f)
{
	int fd = store_part_open_own(f->id, STORE_OBJECT);
	u64 magic = 0;

	if (fd >= 0 && pread(fd, &magic, sizeof(magic), 0) < 0) {
		int err = -errno;

		close(fd);
		fd = err;
	}
	f->kind = magic == BPF_ARENA_MAGIC    ? STORE_MAP
		  : magic == BPF_IMAGE_MAGIC  ? STORE_PROG
		  : magic == STORE_LINK_MAGIC ? STORE_LINK
		  : f->type[STORE_VALUES]     ? STORE_MAP
					      : STORE_PROG;
	f->opened = true;
	return fd;
}

void found_remove_unneeded(void)
{
	char path[64];

	for (size_t i = 0; i < list.n; i++) {
		const struct found *f = &list.v[i];

		if (f->named || f->open || f->started || f->foreign)
			continue;
		snprintf(path, sizeof(path), "objects/%u", f->id);
		state_oddity(path, "unneeded", "it has no name, and nothing needs it");
		store_remove_files(f->id);
	}
}

struct found *found_next(struct found *f)
{
	f = f ? f + 1 : list.v;
	return f < list.v + list.n ? f : NULL;
}

int found_refused(void)
{
	return failed;
}

void found_forget(void)
{
	free(list.v);
	memset(&list, 0, sizeof(list));
}
