/*
 * cgroups.c - M/cgroup: directories, and what is attached to and effective in them (see cgroups.h)
 *
 * Lock order: tree_lock, then `lock` (the table), then the model's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/cgroup_id.h"
#include "fs/cgroups.h"
#include "fs/kinds.h"
#include "fs/pending.h"
#include "fs/perm.h"
#include "fs/pins.h"
#include "fs/run.h"
#include "fs/source/enforce.h"
#include "fs/store.h"
#include "fs/text.h"
#include "fs/tree.h"

static const char *const type_names[] = {"ingress", "egress"};

static const struct {
	const char *word;
	u32 flags;
} flag_words[] = {
	{"override", BPF_F_ALLOW_OVERRIDE},
	{"multi", BPF_F_ALLOW_MULTI},
	{"exclusive", 0},
};

static const char *flags_word(u32 flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
		if (flag_words[i].flags == (flags & ~BPF_F_REPLACE))
			return flag_words[i].word;
	return "exclusive";
}

/* ---- directories to cgroups, and back to paths */

struct place {
	u64 ino;
	struct cgroup *cgrp; /* referenced */
	char *path; /* from M/cgroup: "A/B", the root "." */
	struct place *next;
};

#define PLACE_BUCKETS 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place *places[PLACE_BUCKETS];

static int place_add(u64 ino, struct cgroup *cgrp, const char *path)
{
	struct place *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->path = strdup(path);
	if (!p->path) {
		free(p);
		return -ENOMEM;
	}
	p->ino = ino;
	p->cgrp = cgrp;
	pthread_mutex_lock(&lock);
	p->next = places[ino % PLACE_BUCKETS];
	places[ino % PLACE_BUCKETS] = p;
	pthread_mutex_unlock(&lock);
	return 0;
}

static void place_free(struct place *p)
{
	cgroup_put(p->cgrp);
	free(p->path);
	free(p);
}

static void place_remove(u64 ino)
{
	struct place **at, *p;

	pthread_mutex_lock(&lock);
	for (at = &places[ino % PLACE_BUCKETS]; *at && (*at)->ino != ino; at = &(*at)->next)
		;
	p = *at;
	if (p)
		*at = p->next;
	pthread_mutex_unlock(&lock);
	if (p)
		place_free(p);
}

static struct cgroup *place_get(u64 ino, char *path, size_t len)
{
	struct cgroup *cgrp = NULL;
	struct place *p;

	pthread_mutex_lock(&lock);
	for (p = places[ino % PLACE_BUCKETS]; p && p->ino != ino; p = p->next)
		;
	if (p) {
		cgrp = p->cgrp;
		cgroup_get(cgrp);
		if (path)
			snprintf(path, len, "%s", p->path);
	}
	pthread_mutex_unlock(&lock);
	return cgrp;
}

/* The path of a cgroup by its id; "?" when it was removed meanwhile. */
static void path_of_id(u64 id, char *path, size_t len)
{
	struct place *p;

	snprintf(path, len, "?");
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < PLACE_BUCKETS; i++)
		for (p = places[i]; p; p = p->next)
			if (cgroup_id(p->cgrp) == id)
				snprintf(path, len, "%s", p->path);
	pthread_mutex_unlock(&lock);
}

int cgroups_of_node(struct fs_node *node, struct cgroup **out)
{
	*out = place_get(fs_node_place(node)->ino, NULL, 0);
	return *out ? 0 : -ENOENT;
}

/* ---- attachments in the tree */

struct link_name {
	char name[64];
	u32 type, number, flags;
	u64 ino;
};

static bool parse_link_name(const char *name, struct link_name *out)
{
	char type[16], word[16];

	if (sscanf(name, ".%15[a-z].%u.%15[a-z]", type, &out->number, word) != 3)
		return false;
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->type = strcmp(type, "egress") ? CGROUP_INET_INGRESS : CGROUP_INET_EGRESS;
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++)
		if (!strcmp(word, flag_words[i].word)) {
			out->flags = flag_words[i].flags;
			return !strcmp(type, type_names[out->type]);
		}
	return false;
}

static void make_link_name(struct link_name *link)
{
	snprintf(link->name, sizeof(link->name), ".%s.%06u.%s", type_names[link->type],
		 link->number, flags_word(link->flags));
}

/* The links of a type in order of their numbers; malloc()ed. */
static int list_links(int dirfd, u32 type, struct link_name **out, u32 *nr)
{
	struct tree_names names;
	struct link_name link;
	int err;

	*nr = 0;
	*out = NULL;
	err = tree_list(dirfd, true, &names);
	if (err)
		return err;
	*out = calloc(names.n + 1, sizeof(**out));
	for (size_t i = 0; *out && i < names.n; i++) /* sorted, so by number */
		if (parse_link_name(names.v[i].name, &link) && link.type == type) {
			link.ino = names.v[i].ino;
			(*out)[(*nr)++] = link;
		}
	tree_names_free(&names);
	return *out ? 0 : -ENOMEM;
}

static void names_changed_at(u64 ino)
{
	struct store_object *obj;

	if (store_by_ino(ino, &obj))
		return;
	store_names_changed(obj);
	store_put(obj);
}

/* ---- attach */

#define NEW_LINK ".new"

/*
 * tree_wrlock held. The link is made aside, the model decides, and a rename, which needs no memory and no room, makes
 * it lasting.
 */
static int attach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj,
		  struct store_object *replace, u32 flags)
{
	struct link_name *links, link = {.type = type, .flags = flags};
	u64 gone = 0;
	u32 nr, i;
	int err;

	err = list_links(dir->fd, type, &links, &nr);
	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		bool same = flags & BPF_F_ALLOW_MULTI ? replace && links[i].ino == replace->ino
						      : true;

		link.number = max(link.number, links[i].number + 1);
		if (same) {
			gone = links[i].ino;
			link.number = links[i].number;
			break;
		}
	}
	free(links);
	make_link_name(&link);
	unlinkat(dir->fd, NEW_LINK, 0);
	err = store_link(obj, dir->fd, NEW_LINK);
	if (err)
		return err;
	err = cgroup_bpf_attach(cgrp, type, obj->prog, replace ? replace->prog : NULL, flags);
	if (err || renameat(dir->fd, NEW_LINK, dir->fd, link.name) < 0)
		unlinkat(dir->fd, NEW_LINK, 0);
	/* The same program again: rename() of two links of one file does nothing and leaves both. */
	unlinkat(dir->fd, NEW_LINK, 0);
	store_names_changed(obj);
	if (gone)
		names_changed_at(gone);
	return err;
}

/* obj NULL: the only one there is. */
static int detach(struct fs_node *dir, struct cgroup *cgrp, u32 type, struct store_object *obj)
{
	struct link_name *links;
	u32 nr, i;
	int err = list_links(dir->fd, type, &links, &nr);

	/* The model, as Linux, takes whatever is alone in its place; here who names a program means it. */
	for (i = 0; !err && obj && i < nr && links[i].ino != obj->ino; i++)
		;
	if (!err && obj && i == nr)
		err = -ENOENT;
	if (!err)
		err = cgroup_bpf_detach(cgrp, type, obj ? obj->prog : NULL);
	for (i = 0; !err && i < nr; i++)
		if (!obj || links[i].ino == obj->ino) {
			unlinkat(dir->fd, links[i].name, 0);
			names_changed_at(links[i].ino);
		}
	free(links);
	return err;
}

/* What a line of an attach file asks for: PROGRAM [override|multi|exclusive] [replace PROGRAM | detach]. */
struct wish {
	char prog[PATH_MAX], replace[PATH_MAX];
	u32 flags;
	bool detach, empty;
};

static int parse_line(struct fs_req *req, const char *line, size_t len, struct wish *wish)
{
	size_t pos = 0, n, i;
	const char *word;
	bool want_replace = false;

	memset(wish, 0, sizeof(*wish));
	wish->flags = BPF_F_ALLOW_OVERRIDE;
	if (!text_next_word(line, len, &pos, &word, &n)) {
		wish->empty = true;
		return 0;
	}
	if (n >= sizeof(wish->prog))
		return -ENAMETOOLONG;
	memcpy(wish->prog, word, n);
	while (text_next_word(line, len, &pos, &word, &n)) {
		for (i = 0; i < ARRAY_SIZE(flag_words); i++)
			if (n == strlen(flag_words[i].word) && !memcmp(word, flag_words[i].word, n))
				break;
		if (want_replace && n < sizeof(wish->replace)) {
			memcpy(wish->replace, word, n);
			want_replace = false;
		} else if (i < ARRAY_SIZE(flag_words)) {
			wish->flags = flag_words[i].flags;
		} else if (n == 7 && !memcmp(word, "replace", 7)) {
			want_replace = true;
		} else if (n == 6 && !memcmp(word, "detach", 6)) {
			wish->detach = true;
		} else {
			return fs_error(req, EINVAL,
					"\"%.*s\" is none of override, multi, exclusive, replace "
					"PROGRAM, detach",
					(int)min(n, (size_t)64), word);
		}
	}
	if (want_replace)
		return fs_error(req, EINVAL, "replace which program?");
	return 0;
}

static int explain(struct fs_req *req, int err)
{
	switch (err) {
	case -EPERM:
		return fs_error(req, EPERM,
				"an ancestor, or what is attached here with other flags, does not "
				"allow it (see ingress.attach and egress.attach upwards)");
	case -ENOENT:
		return fs_error(req, ENOENT, "no such program is attached here");
	case -EINVAL:
		return fs_error(req, EINVAL,
				"a program of type cgroup_skb for this direction goes here; where "
				"several are attached, name the one to detach");
	case -E2BIG:
		return fs_error(req, E2BIG, "at most %d programs can be attached here",
				BPF_CGROUP_MAX_PROGS);
	default:
		return err;
	}
}

/* Attached already, exactly so: what attach files print can be written back. */
static bool is_attached(struct cgroup *cgrp, u32 type, const struct bpf_prog *prog, u32 want)
{
	struct cgroup_bpf_item *items;
	u32 nr, flags, i;
	bool found = false;

	if (cgroup_bpf_query(cgrp, type, false, &items, &nr, &flags))
		return false;
	for (i = 0; i < nr; i++)
		found |= items[i].prog == prog && flags == want;
	cgroup_bpf_items_free(items, nr);
	return found;
}

static int attach_line(struct fs_open *open, struct fs_req *req, const char *line, size_t len)
{
	struct store_object *obj = NULL, *replace = NULL;
	struct fs_node *dir = fs_node_place(open->node);
	u32 type = open->node->attr->arg;
	struct cgroup *cgrp = NULL;
	struct wish *wish = malloc(sizeof(*wish));
	int err = wish ? parse_line(req, line, len, wish) : -ENOMEM;

	if (!err && !wish->empty)
		err = perm_resolve(req, STORE_PROG, wish->prog, R_OK, &obj);
	if (!err && *wish->replace)
		err = perm_resolve(req, STORE_PROG, wish->replace, R_OK, &replace);
	if (!err) {
		u32 flags = wish->flags | (replace ? BPF_F_REPLACE : 0);

		tree_wrlock();
		err = wish->empty || wish->detach ? 0 : enforce_settle();
		if (!err)
			err = cgroups_of_node(dir, &cgrp);
		if (!err && (wish->empty || wish->detach))
			err = detach(dir, cgrp, type, obj);
		else if (!err && !is_attached(cgrp, type, obj->prog, flags))
			err = attach(dir, cgrp, type, obj, replace, flags);
		tree_unlock();
		cgroup_put(cgrp);
		err = explain(req, err);
	}
	if (obj)
		store_put(obj);
	if (replace)
		store_put(replace);
	free(wish);
	return err;
}

struct attach_open {
	struct pending pending;
	bool acted; /* on what is pending: a line without its newline, so far */
};

static int attach_open(struct fs_open *open, struct fs_req *req)
{
	open->priv = calloc(1, sizeof(struct attach_open));
	return open->priv ? 0 : -ENOMEM;
}

static void attach_release(struct fs_open *open)
{
	struct attach_open *a = open->priv;

	pending_free(&a->pending);
	free(a);
}

/*
 * Whole lines act at once. What follows the last newline acts at once too when it makes sense, and again if it goes
 * on; when it does not yet, more is awaited.
 */
static ssize_t attach_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			    off_t off)
{
	struct attach_open *a = open->priv;
	struct pending *p = &a->pending;
	size_t pos = 0, n;
	const char *line;
	int err;

	if (!len)
		return 0;
	err = pending_add(p, buf, len, off, open->flags & O_APPEND, 1 << 16);
	while (!err && text_next_line(p->buf, p->len, false, &pos, &line, &n))
		err = attach_line(open, req, line, n);
	pending_drop(p, err ? p->len : pos);
	a->acted = false;
	if (!err && !pending_blank(p)) {
		req->quiet = true;
		a->acted = attach_line(open, req, p->buf, p->len) == 0;
		req->quiet = false;
	}
	return err ? err : (ssize_t)len;
}

static int attach_flush(struct fs_open *open, struct fs_req *req)
{
	struct attach_open *a = open->priv;

	if (a->acted || pending_blank(&a->pending))
		return 0;
	return attach_line(open, req, a->pending.buf, a->pending.len);
}

/* The name that a reader can use: the one in progs/ when it is this program's, else the id. */
static void print_prog(const struct bpf_prog *prog, struct fs_text *out)
{
	struct store_object *obj = store_of_prog((struct bpf_prog *)prog);
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "progs/%s/prog", prog->name);
	if (obj && !fstatat(tree.tree_fd, path, &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == obj->ino)
		fs_text_printf(out, "%s", prog->name);
	else
		fs_text_printf(out, "%u", prog->id);
}

static int show_set(struct fs_node *node, struct fs_text *out, bool effective)
{
	struct cgroup_bpf_item *items;
	struct cgroup *cgrp;
	char path[PATH_MAX];
	u32 nr, flags, i;
	int err = cgroups_of_node(node, &cgrp);

	if (err)
		return err;
	err = cgroup_bpf_query(cgrp, node->attr->arg, effective, &items, &nr, &flags);
	cgroup_put(cgrp);
	if (err)
		return err;
	tree_rdlock();
	for (i = 0; i < nr; i++) {
		print_prog(items[i].prog, out);
		if (effective) {
			path_of_id(items[i].cgroup_id, path, sizeof(path));
			fs_text_printf(out, " id %u %s from %s\n", items[i].prog->id,
				       flags_word(items[i].flags), path);
		} else {
			fs_text_printf(out, " %s\n", flags_word(flags));
		}
	}
	tree_unlock();
	cgroup_bpf_items_free(items, nr);
	return 0;
}

static int attach_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	return show_set(node, out, false);
}

static int effective_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	return show_set(node, out, true);
}

static int stats_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct cgroup_stats stats;
	struct cgroup *cgrp;
	int err = cgroups_of_node(node, &cgrp);

	if (err)
		return err;
	cgroup_stats_read(cgrp, &stats);
	fs_text_printf(out, "id: %llu\n", (unsigned long long)cgroup_id(cgrp));
	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++)
		fs_text_printf(out, "%s_allowed: %llu\n%s_dropped: %llu\n", type_names[type],
			       (unsigned long long)stats.allowed[type], type_names[type],
			       (unsigned long long)stats.dropped[type]);
	cgroup_put(cgrp);
	return 0;
}

/* ---- processes */

static int procs_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct enforce_caller caller = {req->cred.uid, req->cred.pid};
	struct cgroup *cgrp;
	char *text;
	size_t len;
	int err = cgroups_of_node(node, &cgrp);

	if (err)
		return err;
	err = enforce_procs_read(cgrp, &caller, &text, &len);
	cgroup_put(cgrp);
	if (err == -EOPNOTSUPP)
		return 0; /* no processes: `grep -r` goes on */
	if (err == -EPERM)
		return fs_error(req, EPERM,
				"the caller is in another pid namespace than the server");
	if (!err)
		fs_text_append(out, text, len);
	free(text);
	return err;
}

/* One pid a write, as the kernel has it. */
static ssize_t procs_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			   off_t off)
{
	/* The rights are the opener's, as the kernel has it: a privileged writer may have been handed the file. */
	struct enforce_caller caller = {open->opener.uid, req->cred.pid};
	const char *why, *word;
	struct cgroup *cgrp;
	size_t pos = 0, n;
	char number[16] = "", *end;
	long pid;
	int err;

	if (!text_next_word(buf, len, &pos, &word, &n))
		return (ssize_t)len;
	if (n < sizeof(number))
		memcpy(number, word, n);
	pid = strtol(number, &end, 10);
	if (!*number || *end || pid < 0 || pid > INT_MAX ||
	    text_next_word(buf, len, &pos, &word, &n))
		return fs_error(req, EINVAL, "write one pid");
	err = cgroups_of_node(open->node, &cgrp);
	if (err)
		return err;
	err = enforce_procs_write(cgrp, &caller, (pid_t)pid, &why);
	cgroup_put(cgrp);
	if (err && why)
		return fs_error(req, -err, "%s", why);
	return err ? err : (ssize_t)len;
}

static const struct fs_node_ops procs_ops = {
	.name = "cgroup processes",
	.type = S_IFREG,
	.slow = true,
	.show = procs_show,
	.write = procs_write,
};

static const struct fs_node_ops attach_ops = {
	.name = "attachment",
	.type = S_IFREG,
	.slow = true,
	.open = attach_open,
	.show = attach_show,
	.write = attach_write,
	.flush = attach_flush,
	.release = attach_release,
};

static const struct fs_node_ops effective_ops = {
	.name = "effective programs",
	.type = S_IFREG,
	.show = effective_show,
};

static const struct fs_node_ops cgroup_stats_ops = {
	.name = "cgroup stats",
	.type = S_IFREG,
	.show = stats_show,
};

/* ---- directories */

static const struct fs_attr cgroup_attrs[] = {
	{"ingress.attach", 0666, &attach_ops, CGROUP_INET_INGRESS},
	{"egress.attach", 0666, &attach_ops, CGROUP_INET_EGRESS},
	{"ingress.effective", 0444, &effective_ops, CGROUP_INET_INGRESS},
	{"egress.effective", 0444, &effective_ops, CGROUP_INET_EGRESS},
	{"ingress.run", 0666, &cgroup_run_ops, CGROUP_INET_INGRESS},
	{"egress.run", 0666, &cgroup_run_ops, CGROUP_INET_EGRESS},
	{"cgroup.procs", 0666, &procs_ops, 0},
	{"stats", 0444, &cgroup_stats_ops, 0},
};

static int find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_attrs); i++)
		if (!strcmp(name, cgroup_attrs[i].name))
			return (int)i;
	return -1;
}

static int dir_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node **out)
{
	int row = find_row(name), err;

	if (row >= 0)
		return fs_node_attr(dir, cgroup_attrs, (u32)row, out);
	if (name[0] == '.')
		return -ENOENT;
	tree_rdlock();
	err = fs_tree_lookup(dir, name, &cgroup_dir_ops, out);
	tree_unlock();
	return err;
}

static int dir_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
		       void *arg)
{
	return rows_readdir(open, cgroup_attrs, ARRAY_SIZE(cgroup_attrs), false, cursor, emit, arg);
}

/* A cgroup of the model for a directory that is there; tree_lock held. */
static int adopt(struct cgroup *parent, const char *parent_path, const char *name, int fd)
{
	struct cgroup *cgrp;
	char path[PATH_MAX];
	struct stat st;
	u64 id;
	int err;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	err = cgroup_dir_id(fd, &id);
	if (!err)
		err = cgroup_create(parent, id, &cgrp);
	if (err)
		return err;
	if (!strcmp(parent_path, "."))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%.2000s/%.255s", parent_path, name);
	err = enforce_cgroup_add(path, cgrp);
	if (!err) {
		err = place_add(st.st_ino, cgrp, path);
		if (err)
			enforce_cgroup_remove(cgrp);
	}
	if (err) {
		cgroup_remove(cgrp);
		cgroup_put(cgrp);
	}
	return err;
}

static int dir_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		     struct fs_node **out)
{
	struct cgroup *parent;
	char path[PATH_MAX];
	bool hosts = false;
	int err, fd;

	if (name[0] == '.' || find_row(name) >= 0)
		return fs_error(req, EINVAL, "%s cannot be a cgroup's name", name);
	tree_wrlock();
	parent = place_get(dir->ino, path, sizeof(path));
	err = parent ? tree_mkdir(dir->fd, name, mode, &req->cred) : -ENOENT;
	if (!err) {
		fd = tree_openat(dir->fd, name);
		err = fd < 0 ? fd : adopt(parent, path, name, fd);
		hosts = err == -EEXIST;
		if (err && fd >= 0)
			tree_remove_hidden(fd);
		if (fd >= 0)
			close(fd);
		if (!err)
			err = fs_tree_lookup(dir, name, &cgroup_dir_ops, out);
		else
			unlinkat(dir->fd, name, AT_REMOVEDIR);
	}
	tree_unlock();
	cgroup_put(parent);
	if (hosts)
		return fs_error(req, EEXIST, "the host's cgroup has a %s that somebody else made",
				name);
	if (err == -EAGAIN)
		return fs_error(req, EAGAIN, "cgroups are at most %d deep", CGROUP_MAX_DEPTH);
	return err;
}

static int dir_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	struct link_name *links;
	struct cgroup *cgrp = NULL;
	struct stat st;
	u32 type, nr, i;
	int err, fd;

	if (find_row(name) >= 0)
		return -ENOTDIR;
	tree_wrlock();
	fd = openat(dir->fd, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (!err) {
		cgrp = place_get(st.st_ino, NULL, 0);
		err = cgrp ? enforce_cgroup_remove(cgrp) : -ENOENT;
		if (!err)
			err = cgroup_remove(cgrp);
	}
	if (!err) {
		for (type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
			if (list_links(fd, type, &links, &nr))
				continue;
			for (i = 0; i < nr; i++) {
				unlinkat(fd, links[i].name, 0);
				names_changed_at(links[i].ino);
			}
			free(links);
		}
		tree_remove_hidden(fd);
		if (unlinkat(dir->fd, name, AT_REMOVEDIR) < 0)
			err = -errno;
		place_remove(st.st_ino);
	}
	tree_unlock();
	if (fd >= 0)
		close(fd);
	cgroup_put(cgrp);
	if (err == -EBUSY)
		return fs_error(req, EBUSY, "the cgroup has children or processes");
	return err;
}

static int dir_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return fs_error(req, EPERM, "the files of a cgroup go with it: rmdir its directory");
}

static int dir_rename(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node *newdir, const char *newname, unsigned int flags)
{
	return fs_error(req, EPERM, "cgroups are not renamed or moved");
}

const struct fs_node_ops cgroup_dir_ops = {
	.name = "cgroup",
	.type = S_IFDIR,
	.lookup = dir_lookup,
	.readdir = dir_readdir,
	.release = user_release,
	.mkdir = dir_mkdir,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
};

/* ---- start */

/* Attach what the links say. What is broken or was refused stays a link and is told; it is tried again next time. */
static void attach_links(int fd, struct cgroup *cgrp, const char *path)
{
	struct store_object *obj;
	struct link_name *links;
	u32 type, nr, i;
	int err;

	unlinkat(fd, NEW_LINK, 0);
	for (type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
		if (list_links(fd, type, &links, &nr))
			continue;
		for (i = 0; i < nr; i++) {
			err = store_by_ino(links[i].ino, &obj);
			if (!err) {
				err = obj->prog ? cgroup_bpf_attach(cgrp, type, obj->prog, NULL,
								    links[i].flags)
						: -EBADMSG;
				store_put(obj);
			}
			if (err)
				fprintf(stderr, "ubpffs: cgroup/%s: %s is not attached: %s\n", path,
					links[i].name, strerror(-err));
		}
		free(links);
	}
}

/*
 * Cgroups are made parents first, and programs attached children first: what a parent has now, `exclusive` perhaps, may
 * have come after what its children have, and would refuse them.
 */
static int start_dir(int fd, const char *path)
{
	struct tree_names names;
	struct cgroup *cgrp;
	char child_path[PATH_MAX], known[PATH_MAX];
	struct stat st;
	int err;

	if (fstat(fd, &st) < 0)
		return -errno;
	cgrp = place_get(st.st_ino, known, sizeof(known));
	if (!cgrp)
		return -ENOENT;
	err = tree_list(fd, false, &names);
	for (size_t i = 0; !err && i < names.n; i++) {
		int child = openat(fd, names.v[i].name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (child < 0)
			continue;
		err = adopt(cgrp, known, names.v[i].name, child);
		snprintf(child_path, sizeof(child_path), "%.2000s/%.255s", path, names.v[i].name);
		if (!err)
			err = start_dir(child, child_path);
		close(child);
	}
	if (!err)
		tree_names_free(&names);
	attach_links(fd, cgrp, path);
	cgroup_put(cgrp);
	return err;
}

static void sweep_storages(void)
{
	size_t n = 0, i;
	struct place *p;
	u64 *ids;

	for (i = 0; i < PLACE_BUCKETS; i++)
		for (p = places[i]; p; p = p->next)
			n++;
	ids = calloc(n + 1, sizeof(*ids));
	if (!ids)
		return;
	for (i = n = 0; i < PLACE_BUCKETS; i++)
		for (p = places[i]; p; p = p->next)
			ids[n++] = cgroup_id(p->cgrp);
	cgroup_ids_sweep(ids, n);
	free(ids);
}

int cgroups_start(void)
{
	int fd = openat(tree.tree_fd, "cgroup", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err;
	struct cgroup *root;
	struct stat st;

	if (fd < 0)
		return -errno;
	root = cgroup_root_new();
	if (!root || fstat(fd, &st) < 0) {
		close(fd);
		cgroup_put(root);
		return -ENOMEM;
	}
	err = place_add(st.st_ino, root, ".");
	if (!err)
		err = enforce_cgroup_add(".", root);
	if (!err)
		err = start_dir(fd, ".");
	close(fd);
	if (!err)
		sweep_storages();
	return err;
}

void cgroups_stop(void)
{
	/* What belongs to cgroups stays for the next server. */
	bpf_map_keep_slots = true;
	/* A cgroup in the tree is held by its parent's list: take all out, children first. */
	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; i < PLACE_BUCKETS; i++)
			for (struct place *p = places[i]; p; p = p->next)
				again |= cgroup_remove(p->cgrp) == 0;
	}
	for (size_t i = 0; i < PLACE_BUCKETS; i++)
		while (places[i]) {
			struct place *next = places[i]->next;

			place_free(places[i]);
			places[i] = next;
		}
}
