/*
 * map_owner.c - see names/map_owner.h
 */
#include "fs/store/names/map_owner.h"
#include "fs/lib/hash.h"
#include "fs/store/objects/names.h"
#include "fs/store/objects/object.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define OWNED_PATH (LOAD_DIR_MAX + 1 + NAME_MAX)

struct owned_map {
	struct hash_link link; /* by its path's hash */
	struct map_owner *owner;
	struct owned_map *next; /* of the same owner */
	struct owned_map *moving;
	char path[OWNED_PATH]; /* from tree/; with its room, so that a rename cannot fail here */
};

struct owning_prog { /* has a name */
	struct hash_link link; /* by its id */
	struct map_owner *owner;
	struct owning_prog *next; /* while they are being made */
};

struct map_owner {
	u32 load; /* the id with which .load begins */
	u32 named; /* programs */
	struct owned_map *maps;
	struct owning_prog *progs; /* to be added; then each goes by itself */
	struct map_owner *next; /* in `ended`, or what a start has found */
	struct hash_link link; /* while a start looks */
};

static struct hash_table progs, maps;
static struct map_owner *ended; /* no program has a name, and some map has */

/* ---- making */

static int new_prog(struct map_owner *owner, u32 id)
{
	struct owning_prog *prog = calloc(1, sizeof(*prog));

	if (!prog)
		return -ENOMEM;
	prog->link.key = id;
	prog->owner = owner;
	prog->next = owner->progs;
	owner->progs = prog;
	return 0;
}

static int new_map(struct map_owner *owner, const char *dir, const char *name)
{
	struct owned_map *map = calloc(1, sizeof(*map));

	if (!map)
		return -ENOMEM;
	if (snprintf(map->path, sizeof(map->path), "%s/%s", dir, name) >= (int)sizeof(map->path)) {
		free(map);
		return -ENAMETOOLONG;
	}
	map->owner = owner;
	map->next = owner->maps;
	owner->maps = map;
	return 0;
}

int map_owner_new(const u32 *ids, u32 nr_progs, const char *dir, const char *const *names,
		  u32 nr_maps, struct map_owner **out)
{
	struct map_owner *owner;
	int err = 0;

	*out = NULL;
	if (!nr_progs || !nr_maps)
		return 0;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return -ENOMEM;
	owner->load = ids[0];
	for (u32 i = 0; !err && i < nr_progs; i++)
		err = new_prog(owner, ids[i]);
	for (u32 i = 0; !err && i < nr_maps; i++)
		err = new_map(owner, dir, names[i]);
	if (err)
		map_owner_free(owner);
	else
		*out = owner;
	return err;
}

void map_owner_free(struct map_owner *owner)
{
	struct owning_prog *prog;
	struct owned_map *map;

	while (owner && (prog = owner->progs)) {
		owner->progs = prog->next;
		free(prog);
	}
	while (owner && (map = owner->maps)) {
		owner->maps = map->next;
		free(map);
	}
	free(owner);
}

static void set_ended(struct map_owner **at, struct map_owner *owner)
{
	__atomic_store_n(at, owner, __ATOMIC_RELAXED);
}

static void end(struct map_owner *owner)
{
	owner->next = ended;
	set_ended(&ended, owner);
}

void map_owner_add(struct map_owner *owner)
{
	struct owning_prog *prog;

	if (!owner)
		return;
	for (struct owned_map *map = owner->maps; map; map = map->next)
		hash_add(&maps, &map->link, hash_text(map->path));
	while ((prog = owner->progs)) {
		owner->progs = prog->next;
		owner->named++;
		hash_add(&progs, &prog->link, prog->link.key);
	}
	if (!owner->named)
		end(owner);
}

/* ---- renaming */

static struct owned_map *take(const char *path)
{
	struct hash_link *link = hash_find(&maps, hash_text(path)), *next;
	struct owned_map *taken = NULL;

	for (; link; link = next) {
		struct owned_map *map = container_of(link, struct owned_map, link);

		next = hash_again(link);
		if (strcmp(map->path, path))
			continue;
		hash_remove(&maps, link);
		map->moving = taken;
		taken = map;
	}
	return taken;
}

static void put(struct owned_map *map, const char *path)
{
	for (; map; map = map->moving) {
		snprintf(map->path, sizeof(map->path), "%s", path);
		hash_add(&maps, &map->link, hash_text(path));
	}
}

/* Several may have one name: all but the one that .load names have lost their map already. */
void map_owner_renamed(const char *path, const char *newpath, bool exchange)
{
	struct owned_map *from = take(path), *to = exchange ? take(newpath) : NULL;

	put(from, newpath);
	put(to, path);
}

/* ---- ending */

/*
 * Lines of ids: what a torn page or another hand left is none, and says nothing about who needs the
 * map.
 */
static bool is_ids(const char *text, size_t len)
{
	bool digit = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' ? !digit : text[i] < '0' || text[i] > '9')
			return false;
		digit = text[i] != '\n';
	}
	return len && !digit;
}

/* The ids in .load of the map in this directory; *text is malloc()ed. -ENOENT: nobody owns it. */
static int read_ids(int parent, const char *name, char **text)
{
	char path[NAME_MAX + sizeof("/" MAP_OWNER_FILE)];
	ssize_t len;

	snprintf(path, sizeof(path), "%s/" MAP_OWNER_FILE, name);
	len = tree_read_small(parent, path, text);
	if (len < 0)
		return len == -ENOTDIR ? -ENOENT : (int)len;
	return is_ids(*text, (size_t)len) ? 0 : -EBADMSG;
}

static u32 first_id(const char *ids)
{
	return strtoul(ids, NULL, 10);
}

/*
 * The map loses its name, and the directory goes: at once with .load, for without it nobody would
 * know that it has to.
 */
static int remove_name(int parent, const char *name)
{
	__do_close int fd = tree_openat(parent, name);
	struct store_object *obj;
	int err = fd < 0 ? fd : store_unname(fd, "map", MAP_OWNER_FILE, &obj, NULL);

	char aside[32];

	if (!err)
		store_put(obj);
	if (!err || (err == -ENOENT && fd >= 0))
		err = tree_set_aside(parent, name, aside);
	if (err)
		return err;
	tree_remove_hidden(fd, NULL);
	durable_unlinkat(tree.pending_fd, aside, AT_REMOVEDIR);
	return 0;
}

/* Whose the directory of that name is now, it says itself. */
static int remove_map(const struct owned_map *map)
{
	const char *name = strrchr(map->path, '/') + 1;
	__do_free char *text = NULL;
	char dir[OWNED_PATH];
	int err;

	snprintf(dir, sizeof(dir), "%.*s", (int)(name - 1 - map->path), map->path);

	__do_close int parent = openat(tree.tree_fd, dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (parent < 0) /* the load directory is gone with all that was in it */
		return errno == ENOENT ? 0 : -errno;
	err = read_ids(parent, name, &text);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (first_id(text) != map->owner->load)
		return 0;
	return remove_name(parent, name);
}

static int remove_maps(struct map_owner *owner)
{
	struct owned_map **p = &owner->maps, *map;
	int first = 0;

	while ((map = *p)) {
		int err = remove_map(map);

		if (err) {
			first = first ? first : err;
			p = &map->next;
			continue;
		}
		*p = map->next;
		hash_remove(&maps, &map->link);
		free(map);
	}
	return first;
}

int map_owner_retry(void)
{
	struct map_owner **p = &ended, *owner;
	int first = ended ? durable_settle(NULL) : 0; /* its programs' names went first */

	if (first)
		return first;
	while ((owner = *p)) {
		int err = remove_maps(owner);

		if (err) {
			first = first ? first : err;
			p = &owner->next;
			continue;
		}
		set_ended(p, owner->next);
		map_owner_free(owner);
	}
	return first;
}

bool map_owner_unfinished(void)
{
	return __atomic_load_n(&ended, __ATOMIC_RELAXED);
}

void map_owner_prog_gone(u32 id)
{
	struct hash_link *link = hash_find(&progs, id);
	struct owning_prog *prog;

	if (link) {
		prog = container_of(link, struct owning_prog, link);
		hash_remove(&progs, link);
		if (!--prog->owner->named)
			end(prog->owner);
		free(prog);
	}
	if (ended)
		map_owner_retry();
}

/* ---- a start */

struct start {
	u64 *inos; /* of the objects that have a name in a progs/, sorted */
	size_t n;
	struct hash_table owners; /* by `load` */
	struct map_owner *first;
	int failed; /* the first error of a name */
};

static int ino_compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int find_named(void *arg, const char *progs_dir, const char *maps_dir)
{
	__do_close int fd = openat(tree.tree_fd, progs_dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct start *start = arg;
	struct tree_names names;
	int err = fd < 0 ? -errno : tree_list(fd, false, &names);
	u64 *inos;

	if (err)
		return err;
	inos = realloc(start->inos, (start->n + names.n + 1) * sizeof(*inos));
	err = inos ? 0 : -ENOMEM;
	start->inos = inos ? inos : start->inos;
	for (size_t i = 0; !err && i < names.n; i++) {
		char path[NAME_MAX + sizeof("/prog")];
		struct stat st;

		snprintf(path, sizeof(path), "%s/prog", names.v[i].name);
		if (!fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW))
			start->inos[start->n++] = st.st_ino;
		else if (errno != ENOENT && errno != ENOTDIR)
			err = -errno;
	}
	tree_names_free(&names);
	return err;
}

/* An id that cannot be looked at may have one. */
static bool has_name(const struct start *start, const char *id)
{
	struct stat st;

	if (fstatat(tree.objects_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno != ENOENT;
	return start->n &&
	       bsearch(&(u64){st.st_ino}, start->inos, start->n, sizeof(u64), ino_compare);
}

static int new_owner(struct start *start, char *ids, struct map_owner **out)
{
	struct map_owner *owner = calloc(1, sizeof(*owner));
	char *id, *save;
	int err = owner ? 0 : -ENOMEM;

	if (owner)
		owner->load = first_id(ids);
	for (id = strtok_r(ids, "\n", &save); !err && id; id = strtok_r(NULL, "\n", &save))
		if (has_name(start, id))
			err = new_prog(owner, strtoul(id, NULL, 10));
	if (err) {
		map_owner_free(owner);
		return err;
	}
	hash_add(&start->owners, &owner->link, owner->load);
	owner->next = start->first;
	start->first = owner;
	*out = owner;
	return 0;
}

/* One name in a maps/. */
static int start_map(struct start *start, int parent, const char *dir, const char *name)
{
	__do_free char *text = NULL;
	struct map_owner *owner = NULL;
	struct hash_link *link;
	int err = read_ids(parent, name, &text);

	if (err)
		return err == -ENOENT ? 0 : err;
	link = hash_find(&start->owners, first_id(text));
	if (link)
		owner = container_of(link, struct map_owner, link);
	else
		err = new_owner(start, text, &owner);
	return err ? err : new_map(owner, dir, name);
}

static void add_found(struct start *start)
{
	struct map_owner *owner;

	while ((owner = start->first)) {
		start->first = owner->next;
		map_owner_add(owner);
	}
}

/* What is not known of one of them keeps its name; the others are looked at all the same. */
static int find_owned(void *arg, const char *progs_dir, const char *maps_dir)
{
	__do_close int fd = openat(tree.tree_fd, maps_dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct start *start = arg;
	struct tree_names names;
	int err = fd < 0 ? -errno : tree_list(fd, false, &names);

	if (err)
		return err;
	for (size_t i = 0; i < names.n; i++) {
		int failed = start_map(start, fd, maps_dir, names.v[i].name);

		start->failed = start->failed ? start->failed : failed;
	}
	tree_names_free(&names);
	return 0;
}

int map_owner_start(void)
{
	struct start start = {0};
	int err = load_dir_each(find_named, &start), first;

	if (!err && start.n)
		qsort(start.inos, start.n, sizeof(*start.inos), ino_compare);
	if (!err)
		err = load_dir_each(find_owned, &start);
	first = start.failed;
	free(start.inos);
	hash_free(&start.owners);
	add_found(&start);
	if (err || tree_err_passes(first))
		return err ? err : first;
	err = map_owner_retry();
	return first ? first : err;
}
