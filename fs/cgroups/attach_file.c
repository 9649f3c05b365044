/*
 * attach_file.c - ingress.attach and egress.attach: a line attaches or detaches a program; and what
 * is effective
 */
#include "fs/cgroups/attach.h"
#include "fs/cgroups/attach_ioctl.h"
#include "fs/cgroups/attach_file.h"
#include "fs/cgroups/attachments.h"
#include "fs/keeper/records.h"
#include "fs/cgroups/files.h"
#include "fs/cgroups/lookup/lookup.h"
#include "text/value_text.h"
#include "fs/lib/write_buffer.h"
#include "fs/store/resolve.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

/* ---- attaching */

/*
 * What a line of an attach file asks for: PROGRAM [override|multi|exclusive] [replace PROGRAM |
 * detach].
 */
struct attach_request {
	char prog[PATH_MAX], replace[PATH_MAX];
	u32 flags;
	bool detach, empty;
};

static int attach_request_parse(struct fs_req *req, const char *line, size_t len,
				struct attach_request *request)
{
	size_t pos = 0, n;
	const char *word;
	bool want_replace = false;

	memset(request, 0, sizeof(*request));
	request->flags = BPF_F_ALLOW_OVERRIDE;
	if (!text_next_word(line, len, &pos, &word, &n)) {
		request->empty = true;
		return 0;
	}
	if (n >= sizeof(request->prog))
		return fs_error(req, ENAMETOOLONG, "a program's name, path or id goes here");
	if (memchr(line, 0, len))
		return fs_error(req, EINVAL, "a line holds no NUL");
	memcpy(request->prog, word, n);
	while (text_next_word(line, len, &pos, &word, &n)) {
		if (want_replace && n < sizeof(request->replace)) {
			memcpy(request->replace, word, n);
			want_replace = false;
		} else if (!cgroup_flags_of(word, n, &request->flags)) {
			continue;
		} else if (n == 7 && !memcmp(word, "replace", 7)) {
			want_replace = true;
		} else if (n == 6 && !memcmp(word, "detach", 6)) {
			request->detach = true;
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

static int attach_line(struct fs_open *open, struct fs_req *req, const char *line, size_t len)
{
	struct store_object *obj = NULL, *replace = NULL;
	struct fs_node *dir = fs_node_base(open->node);
	u32 type = open->node->attr->arg;
	struct attach_request *request = malloc(sizeof(*request));
	int err = request ? attach_request_parse(req, line, len, request) : -ENOMEM;

	if (!err && !request->empty)
		err = resolve_object(req, STORE_PROG, request->prog,
				     request->detach ? RESOLVE_READ : RESOLVE_USE, &obj);
	if (!err && *request->replace)
		err = resolve_object(req, STORE_PROG, request->replace, RESOLVE_READ, &replace);
	if (!err) {
		u32 flags = request->flags | (replace ? BPF_F_REPLACE : 0);

		if (request->empty || request->detach)
			err = cgroup_prog_detach(req, dir, type, obj, false);
		else
			err = cgroup_prog_attach(req, dir, type, obj, replace, flags, false);
	}
	store_put(obj);
	store_put(replace);
	free(request);
	return err;
}

static int attach_open(struct fs_open *open, struct fs_req *req)
{
	int err = fs_open_keep_groups(open, req);
	struct attach_open *a;

	if (err)
		return err;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	open->priv = a;
	return 0;
}

static void attach_release(struct fs_open *open)
{
	struct attach_open *a = open->priv;

	write_buffer_free(&a->buffer);
	store_put(a->link);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void attach_keep(struct fs_open *open, struct kept *kept)
{
	struct attach_open *a = open->priv;

	pthread_mutex_lock(&a->lock);
	kept->object = a->link ? a->link->id : 0;
	pthread_mutex_unlock(&a->lock);
	kept->v[WRITE_BUFFER_WORDS] = a->acted;
	fs_buffer_keep(&a->buffer, kept, 0);
}

static void attach_restore(struct fs_open *open, const struct kept *kept)
{
	struct attach_open *a = open->priv;

	a->acted = kept->v[WRITE_BUFFER_WORDS];
	fs_buffer_restore(open, &a->buffer, kept, 0);
	if (kept->object && store_by_id(STORE_LINK, kept->object, &a->link))
		a->link = NULL;
}

/*
 * Whole lines act at once. What follows the last newline acts at once too, and again if it goes on;
 * when it makes no sense and was not ended, more is awaited.
 */
static ssize_t attach_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			    off_t off)
{
	struct attach_open *a = open->priv;
	struct write_buffer *p = &a->buffer;
	size_t pos = 0, n;
	const char *line;
	int err;

	if (!len)
		return 0;
	err = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, 1 << 16);
	while (!err && text_next_line(p->buf, p->len, false, &pos, &line, &n))
		err = attach_line(open, req, line, n);
	write_buffer_drop(p, err ? p->len : pos);
	a->acted = false;
	if (!err && !write_buffer_blank(p)) {
		bool ended = write_buffer_ended(p, len, true);

		req->quiet = !ended;
		err = attach_line(open, req, p->buf, p->len);
		req->quiet = false;
		a->acted = !err;
		if (ended && err)
			write_buffer_drop(p, p->len);
		else
			err = 0;
	}
	return err ? err : (ssize_t)len;
}

static int attach_flush(struct fs_open *open, struct fs_req *req)
{
	struct attach_open *a = open->priv;

	if (a->acted || write_buffer_blank(&a->buffer))
		return 0;
	return attach_line(open, req, a->buffer.buf, a->buffer.len);
}

/* ---- showing */

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
	int err = cgroup_of_node(node, &cgrp);

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
			cgroup_lookup_path(items[i].cgroup_id, path, sizeof(path));
			fs_text_printf(out, " id %u %s from %s\n", items[i].prog->id,
				       cgroup_flags_word(items[i].flags), path);
		} else {
			fs_text_printf(out, " %s\n", cgroup_flags_word(flags));
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

const struct fs_node_ops cgroup_attach_ops = {
	.name = "attachment",
	.type = S_IFREG,
	.slow = true,
	.short_show = true,
	.open = attach_open,
	.show = attach_show,
	.write = attach_write,
	.slow_flush = true,
	.flush = attach_flush,
	.command = attach_command,
	.ioctl = attach_ioctl,
	.release = attach_release,
	.keep = attach_keep,
	.restore = attach_restore,
};

const struct fs_node_ops cgroup_effective_ops = {
	.name = "effective programs",
	.type = S_IFREG,
	.show = effective_show,
};
