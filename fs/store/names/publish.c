/*
 * publish.c - see publish.h for the protocol
 *
 * rename(2) of a directory onto an empty directory replaces it: so a name whose object was dropped,
 * but whose rmdir has not come yet, is free, and any other existing name gives -EEXIST.
 */
#include "fs/store/names/publish.h"
#include "fs/caller/limits.h"
#include "fs/keeper/requests.h"
#include "fs/store/names/map_owner.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/names.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

struct publish_name {
	struct store_object *obj; /* referenced */
	char *name;
	bool moved;
	bool charged; /* the name to be, until the store counts it */
	bool owned; /* a map that goes with the load's programs */
};

struct publish {
	int fd; /* pending/<n> */
	char dir[32];
	char parents[STORE_KINDS][LOAD_DIR_MAX];
	struct fs_cred cred;
	mode_t mode;
	struct publish_name *names;
	u32 count;
	bool stuck; /* a name could not be taken back: the next load does it, or the next start */
	struct publish *next;
};

static struct publish *stuck; /* written under tree_wrlock */

static const char *const links[] = {[STORE_PROG] = "prog", [STORE_MAP] = "map"};

int publish_begin(const struct fs_cred *cred, mode_t umask, const char *progs, const char *maps,
		  struct publish **out, struct error_record *why)
{
	struct publish *pub = calloc(1, sizeof(*pub));
	int err;

	*out = NULL;
	if (!pub)
		return -ENOMEM;
	pub->cred = *cred;
	pub->mode = 0777 & ~umask;
	snprintf(pub->dir, sizeof(pub->dir), "%u", store_next_id());
	snprintf(pub->parents[STORE_PROG], LOAD_DIR_MAX, "%s", progs);
	snprintf(pub->parents[STORE_MAP], LOAD_DIR_MAX, "%s", maps);
	if (durable_mkdirat(tree.pending_fd, pub->dir, 0700) < 0) {
		err = tree_error(why, errno, "a load's names");
		free(pub);
		return err;
	}
	pub->fd = openat(tree.pending_fd, pub->dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pub->fd < 0) {
		err = -errno;
		durable_unlinkat(tree.pending_fd, pub->dir, AT_REMOVEDIR);
		free(pub);
		return err;
	}
	*out = pub;
	return 0;
}

static const char *slot_name(u32 i, char buf[16])
{
	snprintf(buf, 16, "%u", i);
	return buf;
}

int publish_add(struct publish *pub, struct store_object *obj, const char *name, const char *owner,
		struct error_record *why)
{
	struct publish_name *names = realloc(pub->names, (pub->count + 1) * sizeof(*names));
	struct publish_name *at;
	char slot[16], id[16];
	int fd, err = 0;

	if (!names)
		return -ENOMEM;
	pub->names = names;
	at = &names[pub->count];
	memset(at, 0, sizeof(*at));
	at->name = strdup(name);
	if (!at->name)
		return -ENOMEM;
	store_get(obj);
	at->obj = obj;
	at->owned = owner;
	slot_name(pub->count++, slot);

	err = tree_mkdir_pending(pub->fd, slot, 0700, &pub->cred, why);
	if (err)
		return err;
	fd = openat(pub->fd, slot, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(id, sizeof(id), "%u", obj->id);
	err = limits_charge(pub->cred.uid, LIMIT_NAMES, 1, why);
	at->charged = !err;
	if (!err && durable_linkat(tree.objects_fd, id, fd, links[obj->kind]) < 0)
		err = tree_error(why, errno, name);
	if (!err && owner)
		err = tree_write_small(fd, MAP_OWNER_FILE, owner, strlen(owner), why);
	if (!err && fchmod(fd, pub->mode) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int publish_manifest(struct publish *pub, struct error_record *why)
{
	struct fs_text text = {0};
	int err;

	for (u32 i = 0; i < pub->count; i++)
		fs_text_printf(&text, "%s %u %s\n", pub->parents[pub->names[i].obj->kind],
			       pub->names[i].obj->id, pub->names[i].name);
	err = text.err ? text.err : tree_write_small(pub->fd, "manifest", text.buf, text.len, why);
	fs_text_free(&text);
	return err;
}

/*
 * By path from tree/, so that taking a name back needs no descriptor: progs, maps and load
 * directories are the server's own.
 */
static int parent_path(const struct publish *pub, const struct publish_name *at,
		       char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", pub->parents[at->obj->kind], at->name);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* tree_wrlock is held */
static int __publish_move(struct publish *pub, u32 i, struct error_record *why)
{
	struct publish_name *at = &pub->names[i];
	char slot[16], path[PATH_MAX];
	int err = parent_path(pub, at, path);

	if (!err)
		err = tree_move(pub->fd, slot_name(i, slot), tree.tree_fd, path, NULL);
	at->moved = !err;
	if (err == -ENOTEMPTY || err == -EEXIST)
		return error_set(why, EEXIST,
				 "the name %s is taken: remove it (rm -r) or rename it (mv), then "
				 "load again",
				 at->name);
	return err ? tree_error(why, -err, at->name) : 0;
}

/*
 * One call and no more, so that little can keep a name that blocks the next load: nobody has seen
 * this one.
 */
static int __publish_take_back(struct publish *pub, u32 i)
{
	struct publish_name *at = &pub->names[i];
	char slot[16], path[PATH_MAX];

	parent_path(pub, at, path);
	if (durable_renameat2(tree.tree_fd, path, pub->fd, slot_name(i, slot), 0) < 0)
		return -errno;
	at->moved = false;
	return 0;
}

/* Is it there still, and ours? Who may has removed, renamed or replaced it since. */
static int __publish_is_ours(struct publish *pub, u32 i, struct stat *dir)
{
	struct publish_name *at = &pub->names[i];
	char path[PATH_MAX];
	struct stat st;

	parent_path(pub, at, path);
	if (strlen(path) + sizeof("/prog") > sizeof(path))
		return -ENAMETOOLONG;
	if (fstatat(tree.tree_fd, path, dir, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	strcat(strcat(path, "/"), links[at->obj->kind]);
	if (fstatat(tree.tree_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	return st.st_ino == at->obj->ino;
}

/* The same for a name that clients may know by now. */
static int __publish_take_away(struct publish *pub, u32 i, const struct stat *dir)
{
	int err;

	__fs_nodes_lock();
	err = __publish_take_back(pub, i);
	if (!err)
		__fs_node_gone(dir);
	__fs_nodes_unlock();
	return err;
}

static void name_uncharge(struct publish *pub, u32 i)
{
	if (pub->names[i].charged)
		limits_uncharge(pub->cred.uid, LIMIT_NAMES, 1);
	pub->names[i].charged = false;
}

/* What publish_add() made, also when no descriptor is left. */
static void remove_slot(struct publish *pub, u32 i)
{
	static const char *const files[] = {"prog", "map", MAP_OWNER_FILE, MAP_OWNER_FILE ".tmp"};
	char path[64];

	for (u32 f = 0; f < ARRAY_SIZE(files); f++) {
		snprintf(path, sizeof(path), "%u/%s", i, files[f]);
		durable_unlinkat(pub->fd, path, 0);
	}
	if (!durable_unlinkat(pub->fd, slot_name(i, path), AT_REMOVEDIR))
		limits_uncharge(pub->cred.uid, LIMIT_NAMES, 1);
}

static void publish_free(struct publish *pub)
{
	for (u32 i = 0; i < pub->count; i++) {
		if (!pub->names[i].moved)
			remove_slot(pub, i);
		name_uncharge(pub, i);
		store_put(pub->names[i].obj);
		free(pub->names[i].name);
	}
	durable_unlinkat(pub->fd, "manifest", 0);
	close(pub->fd);
	durable_unlinkat(tree.pending_fd, pub->dir, AT_REMOVEDIR);
	free(pub->names);
	free(pub);
}

/* tree_wrlock is held. */
static void __publish_retry(void)
{
	struct publish **p = &stuck, *pub;

	while ((pub = *p)) {
		bool again = false;

		for (u32 i = 0; i < pub->count; i++) {
			struct stat dir;
			int ours = pub->names[i].moved ? __publish_is_ours(pub, i, &dir) : 0;

			if (ours < 0 || (ours && __publish_take_away(pub, i, &dir))) {
				again = true;
				continue;
			}
			pub->names[i].moved = false;
			remove_slot(pub, i);
			store_names_changed(pub->names[i].obj);
		}
		if (again) {
			p = &pub->next;
			continue;
		}
		__atomic_store_n(p, pub->next, __ATOMIC_RELAXED);
		publish_free(pub);
	}
}

void publish_retry(void)
{
	if (!__atomic_load_n(&stuck, __ATOMIC_RELAXED) && !map_owner_unfinished())
		return;
	tree_wrlock();
	__publish_retry();
	map_owner_retry();
	tree_unlock();
}

static int new_owner(const struct publish *pub, struct map_owner **out)
{
	__do_free u32 *progs = calloc(pub->count + 1, sizeof(*progs));
	__do_free const char **maps = calloc(pub->count + 1, sizeof(*maps));
	u32 nr_progs = 0, nr_maps = 0;

	if (!progs || !maps)
		return -ENOMEM;
	for (u32 i = 0; i < pub->count; i++) {
		if (pub->names[i].obj->kind == STORE_PROG)
			progs[nr_progs++] = pub->names[i].obj->id;
		else if (pub->names[i].owned)
			maps[nr_maps++] = pub->names[i].name;
	}
	return map_owner_new(progs, nr_progs, pub->parents[STORE_MAP], maps, nr_maps, out);
}

int publish_commit(struct publish *pub, struct error_record *why)
{
	struct map_owner *owner = NULL;
	int err = publish_manifest(pub, why);
	u32 i;

	if (!err)
		err = new_owner(pub, &owner);
	if (!err)
		err = durable_settle(why); /* the objects and the manifest before any name */
	if (err) {
		map_owner_free(owner);
		return err;
	}
	tree_wrlock();
	for (i = 0; !err && i < pub->count; i++)
		err = __publish_move(pub, i, why);
	if (!err)
		err = durable_settle(why); /* all names before what would take them back goes */
	if (!err && durable_unlinkat(pub->fd, "manifest", 0) < 0)
		err = tree_error(why, errno, "a load's names");
	for (i = 0; i < pub->count; i++) {
		if (!err) {
			name_uncharge(pub, i);
			store_names_changed(pub->names[i].obj);
		} else if (pub->names[i].moved && __publish_take_back(pub, i)) {
			pub->stuck = true;
			name_uncharge(pub, i);
			store_names_changed(pub->names[i].obj);
		}
	}
	if (!err)
		map_owner_add(move_ptr(owner));
	tree_unlock();
	map_owner_free(owner);
	return err;
}

/* No other intent of a request is as large, and none is the same. */
static u64 number_of(const char *dir)
{
	return strtoull(dir, NULL, 10) | 1ULL << 40;
}

u64 publish_number(const struct publish *pub)
{
	return number_of(pub->dir);
}

/*
 * Remove a directory of pending/ that holds one link and hidden files. What is no such directory
 * stays.
 */
static int remove_objdir(int parent, const char *name)
{
	__do_close int fd = openat(parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	for (u32 i = 0; i < ARRAY_SIZE(links); i++)
		if (durable_unlinkat(fd, links[i], 0) < 0 && errno != ENOENT)
			return -errno;
	err = tree_remove_hidden(fd, NULL);
	if (err)
		return err;
	return durable_unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

void publish_end(struct publish *pub)
{
	if (!pub)
		return;
	if (!pub->stuck) {
		publish_free(pub);
		return;
	}
	tree_wrlock();
	pub->next = stuck;
	__atomic_store_n(&stuck, pub, __ATOMIC_RELAXED);
	tree_unlock();
}

/*
 * One line of a manifest: take the name back when it is this load's, into pending/<n>, so that it
 * goes at once.
 */
static int recover_name(int pending, const char *dir, u32 id, const char *name)
{
	__do_close int parent =
		openat(tree.tree_fd, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool is_maps = !strcmp(dir + strlen(dir) - min(strlen(dir), strlen("maps")), "maps");
	enum store_kind kind = is_maps ? STORE_MAP : STORE_PROG;
	__do_close int fd = -1;
	struct stat object, link;
	char file[16];

	if (parent < 0) /* a load directory may have gone since */
		return errno == ENOENT ? 0 : -errno;
	snprintf(file, sizeof(file), "%u", id);
	fd = openat(parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	if (fstatat(fd, links[kind], &link, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(tree.objects_fd, file, &object, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (link.st_ino != object.st_ino)
		return 0;
	snprintf(file, sizeof(file), "back%u", id);
	return tree_move(parent, name, pending, file, NULL);
}

static int recover_manifest(int fd)
{
	__do_free char *text = NULL;
	ssize_t len = tree_read_small(fd, "manifest", &text);
	char *line, *save;
	int err = 0;

	if (len <= 0)
		return len == -ENOENT ? 0 : (int)len;
	for (line = strtok_r(text, "\n", &save); !err && line; line = strtok_r(NULL, "\n", &save)) {
		char parent[LOAD_DIR_MAX], name[256];
		u32 id;

		if (sscanf(line, "%127s %u %255s", parent, &id, name) != 3 || !tree_name_ok(name))
			continue;
		err = recover_name(fd, parent, id, name);
	}
	if (!err)
		state_problem("pending", "loads", REMEDY_DONE,
			      "a load that had not finished was rolled back");
	return err;
}

/*
 * The names first, what was to get one then, and the manifest last. What is none of these is not
 * ours, and stays.
 */
static int recover_one(const char *dir)
{
	__do_close int fd = openat(tree.pending_fd, dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	struct stat st;
	int err;

	if (!strcmp(dir, TREE_NEW) && (!durable_unlinkat(tree.pending_fd, dir, 0) ||
				       !durable_unlinkat(tree.pending_fd, dir, AT_REMOVEDIR)))
		return 0;
	if (fd < 0)
		return -errno;
	if (!strncmp(dir, TREE_ASIDE, strlen(TREE_ASIDE)))
		return remove_objdir(tree.pending_fd, dir);
	err = recover_manifest(fd);
	if (!err)
		err = tree_list(fd, true, &names);
	if (err)
		return err;
	if (names.n) /* the manifest, or what was to get a name: it was not committed */
		requests_forget_intent(number_of(dir));
	for (size_t i = 0; !err && i < names.n; i++) {
		const char *name = names.v[i].name;

		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			err = -errno;
		else if (S_ISDIR(st.st_mode))
			err = remove_objdir(fd, name);
	}
	tree_names_free(&names);
	if (err)
		return err;
	durable_unlinkat(fd, "manifest.tmp", 0);
	durable_unlinkat(fd, "manifest", 0);
	return durable_unlinkat(tree.pending_fd, dir, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static void not_rolled_back(const char *name, int err)
{
	char path[NAME_MAX + sizeof("pending/")];

	snprintf(path, sizeof(path), "pending/%s", name);
	state_problem(path, "loads", REMEDY_NONE,
		      "of a load that had not finished: it could not be rolled back (%s), and is "
		      "kept",
		      strerror(-err));
}

int publish_recover(void)
{
	struct tree_names names;
	int err = tree_list(tree.pending_fd, true, &names);

	if (err)
		return err;
	for (size_t i = 0; !err && i < names.n; i++) {
		int one = recover_one(names.v[i].name);

		if (one)
			not_rolled_back(names.v[i].name, one);
		/* Its names may be half of a load: not served. Else it is nothing of a load. */
		if (one != -ENOTDIR && one != -ELOOP && one != -ENOTEMPTY)
			err = one;
	}
	tree_names_free(&names);
	return err;
}
