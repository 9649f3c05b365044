/*
 * publish.c - see publish.h for the protocol
 *
 * rename(2) of a directory onto an empty directory replaces it: so a name whose object was dropped, but whose
 * rmdir has not come yet, is free, and any other existing name gives -EEXIST.
 */
#include "fs/publish.h"
#include "fs/tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

struct publish_name {
	struct store_object *obj; /* referenced */
	char *name;
	bool moved;
};

struct publish {
	int fd; /* pending/<n> */
	char dir[32];
	struct fs_cred cred;
	mode_t mode;
	struct publish_name *names;
	u32 count;
};

static const char *const parents[] = {[STORE_PROG] = "progs", [STORE_MAP] = "maps"};
static const char *const links[] = {[STORE_PROG] = "prog", [STORE_MAP] = "map"};

struct publish *publish_begin(const struct fs_cred *cred, mode_t umask)
{
	struct publish *pub = calloc(1, sizeof(*pub));

	if (!pub)
		return NULL;
	pub->cred = *cred;
	pub->mode = 0777 & ~umask;
	snprintf(pub->dir, sizeof(pub->dir), "%u", store_next_id());
	pub->fd = -1;
	if (!mkdirat(tree.pending_fd, pub->dir, 0700))
		pub->fd = openat(tree.pending_fd, pub->dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pub->fd < 0) {
		free(pub);
		return NULL;
	}
	return pub;
}

static const char *slot_name(u32 i, char buf[16])
{
	snprintf(buf, 16, "%u", i);
	return buf;
}

int publish_add(struct publish *pub, struct store_object *obj, const char *name,
		const char *hidden_name, const char *hidden)
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
	slot_name(pub->count++, slot);

	err = tree_mkdir(pub->fd, slot, 0700, &pub->cred);
	if (err)
		return err;
	fd = openat(pub->fd, slot, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(id, sizeof(id), "%u", obj->id);
	if (linkat(tree.objects_fd, id, fd, links[obj->kind], 0) < 0)
		err = -errno;
	if (!err && hidden_name)
		err = tree_write_small(fd, hidden_name, hidden, strlen(hidden));
	if (!err && fchmod(fd, pub->mode) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int publish_manifest(struct publish *pub)
{
	struct fs_text text = {0};
	int err;

	for (u32 i = 0; i < pub->count; i++)
		fs_text_printf(&text, "%s %u %s\n", parents[pub->names[i].obj->kind],
			       pub->names[i].obj->id, pub->names[i].name);
	err = text.err ? text.err : tree_write_small(pub->fd, "manifest", text.buf, text.len);
	fs_text_free(&text);
	return err;
}

static int parent_fd(enum store_kind kind)
{
	int fd = openat(tree.tree_fd, parents[kind], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* tree_wrlock is held */
static int __publish_move(struct publish *pub, u32 i, bool back)
{
	struct publish_name *at = &pub->names[i];
	int parent = parent_fd(at->obj->kind), err;
	char slot[16];

	if (parent < 0)
		return parent;
	slot_name(i, slot);
	if (back)
		err = renameat(parent, at->name, pub->fd, slot);
	else
		err = renameat(pub->fd, slot, parent, at->name);
	err = err < 0 ? -errno : 0;
	close(parent);
	at->moved = !err && !back;
	return err == -ENOTEMPTY ? -EEXIST : err;
}

int publish_commit(struct publish *pub, const char **taken)
{
	int err = publish_manifest(pub);
	u32 i;

	*taken = NULL;
	if (err)
		return err;
	tree_wrlock();
	for (i = 0; !err && i < pub->count; i++) {
		err = __publish_move(pub, i, false);
		if (err == -EEXIST)
			*taken = pub->names[i].name;
	}
	if (!err && unlinkat(pub->fd, "manifest", 0) < 0)
		err = -errno;
	for (i = 0; i < pub->count; i++) {
		if (!err)
			store_names_changed(pub->names[i].obj);
		else if (pub->names[i].moved)
			__publish_move(pub, i, true);
	}
	tree_unlock();
	return err;
}

/* Remove a directory that holds one link and hidden files. */
static void remove_objdir(int parent, const char *name)
{
	int fd = openat(parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	for (u32 i = 0; i < ARRAY_SIZE(links); i++)
		unlinkat(fd, links[i], 0);
	tree_remove_hidden(fd);
	close(fd);
	unlinkat(parent, name, AT_REMOVEDIR);
}

void publish_end(struct publish *pub)
{
	char slot[16];

	if (!pub)
		return;
	for (u32 i = 0; i < pub->count; i++) {
		if (!pub->names[i].moved)
			remove_objdir(pub->fd, slot_name(i, slot));
		store_put(pub->names[i].obj);
		free(pub->names[i].name);
	}
	unlinkat(pub->fd, "manifest", 0);
	close(pub->fd);
	unlinkat(tree.pending_fd, pub->dir, AT_REMOVEDIR);
	free(pub->names);
	free(pub);
}

/* One line of a manifest: take the name back when it is this load's. */
static void recover_name(enum store_kind kind, u32 id, const char *name)
{
	int parent = parent_fd(kind), fd = -1;
	struct stat object, link;
	char file[16];

	snprintf(file, sizeof(file), "%u", id);
	if (parent >= 0)
		fd = openat(parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && !fstatat(fd, links[kind], &link, AT_SYMLINK_NOFOLLOW) &&
	    !fstatat(tree.objects_fd, file, &object, AT_SYMLINK_NOFOLLOW) &&
	    link.st_ino == object.st_ino)
		remove_objdir(parent, name);
	if (fd >= 0)
		close(fd);
	if (parent >= 0)
		close(parent);
}

static void recover_one(const char *dir)
{
	int fd = openat(tree.pending_fd, dir, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	__do_free char *text = NULL;
	struct tree_names names;
	char *line, *save;

	if (fd < 0)
		return;
	if (tree_read_small(fd, "manifest", &text) > 0) {
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			char parent[16], name[256];
			u32 id;

			if (sscanf(line, "%15s %u %255s", parent, &id, name) != 3 ||
			    !tree_name_ok(name))
				continue;
			recover_name(strcmp(parent, "progs") ? STORE_MAP : STORE_PROG, id, name);
		}
		fs_warn("a load that had not finished was rolled back");
	}
	if (!tree_list(fd, true, &names)) {
		for (size_t i = 0; i < names.n; i++) {
			remove_objdir(fd, names.v[i].name);
			unlinkat(fd, names.v[i].name, 0);
		}
		tree_names_free(&names);
	}
	close(fd);
	unlinkat(tree.pending_fd, dir, AT_REMOVEDIR);
}

void publish_recover(void)
{
	struct tree_names names;

	if (tree_list(tree.pending_fd, true, &names))
		return;
	for (size_t i = 0; i < names.n; i++)
		recover_one(names.v[i].name);
	tree_names_free(&names);
}
