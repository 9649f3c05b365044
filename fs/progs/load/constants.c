/*
 * constants.c - see constants.h
 */
#include "fs/progs/load/constants.h"
#include "text/value_text.h"
#include "fs/lib/write_buffer.h"
#include "fs/maps/text/vars.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <stdio.h>

#define MAX_CONSTANTS (64u << 10) /* bytes of text */

static int apply_line(struct fs_req *req, struct bpf_object_file *obj, const char *name,
		      size_t name_len, const char *value, size_t len)
{
	for (u32 i = 0; i < obj->map_cnt; i++) {
		struct bpf_object_map *map = &obj->maps[i];
		int ret;

		if (map->kind != BPF_OBJECT_MAP_DATA)
			continue;
		if (!map->init) /* .bss */
			map->init = calloc(1, map->spec.value_size ? map->spec.value_size : 1);
		if (!map->init)
			return -ENOMEM;
		ret = vars_set_initial(req, obj->btf, map->spec.btf_value_type_id, map->init,
				       map->spec.value_size, name, name_len, value, len);
		if (ret != -ENOENT)
			return ret;
	}
	return fs_error(req, EINVAL,
			"constants: the object has no variable %.*s in .rodata, .data or .bss; a "
			"line goes by `clear`",
			(int)name_len, name);
}

int constants_apply(struct fs_req *req, int dir, struct bpf_object_file *obj)
{
	__do_free char *text = NULL;
	ssize_t len = tree_read_small(dir, CONSTANTS_FILE, &text);
	const char *line, *word;
	size_t pos = 0, n;
	int err = 0;

	if (len < 0)
		return len == -ENOENT ? 0 : (int)len;
	while (!err && text_next_line(text, (size_t)len, true, &pos, &line, &n)) {
		size_t k = 0, w;

		if (text_next_word(line, n, &k, &word, &w))
			err = apply_line(req, obj, word, w, line + k, n - k);
	}
	return err;
}

/* ---- the file */

static int constants_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	__do_free char *text = NULL;
	ssize_t len = tree_read_small(fs_node_fd(fs_node_base(node)), CONSTANTS_FILE, &text);

	if (len < 0)
		return len == -ENOENT ? 0 : (int)len;
	fs_text_append(out, text, (size_t)len);
	return 0;
}

/* The lines that are there but for that name's, then this one. */
static int set_line(struct fs_req *req, int dir, const char *name, size_t name_len,
		    const char *line, size_t len)
{
	__do_free char *text = NULL;
	ssize_t old = tree_read_small(dir, CONSTANTS_FILE, &text);
	struct fs_text out = {0};
	const char *was, *word;
	size_t pos = 0, n;
	int err = old < 0 && old != -ENOENT ? (int)old : 0;

	while (old > 0 && text_next_line(text, (size_t)old, true, &pos, &was, &n)) {
		size_t k = 0, w;

		if (text_next_word(was, n, &k, &word, &w) &&
		    (w != name_len || memcmp(word, name, w))) {
			fs_text_append(&out, was, n);
			fs_text_append(&out, "\n", 1);
		}
	}
	fs_text_append(&out, line, len);
	fs_text_append(&out, "\n", 1);
	if (!err)
		err = out.err;
	if (!err && out.len > MAX_CONSTANTS)
		err = fs_error(req, E2BIG, "constants have at most %u bytes", MAX_CONSTANTS);
	if (!err)
		err = tree_write_small(dir, CONSTANTS_FILE, out.buf, out.len, fs_why(req));
	fs_text_free(&out);
	return err;
}

static int write_line(struct fs_req *req, int dir, const char *line, size_t len)
{
	const char *name, *value;
	size_t pos = 0, n, w, from;

	while (len && text_is_blank(line[len - 1]))
		len--;
	if (!text_next_word(line, len, &pos, &name, &n) || name[0] == '#')
		return 0;
	from = (size_t)(name - line);
	if (!text_next_word(line, len, &pos, &value, &w)) {
		if (n != 5 || memcmp(name, "clear", n))
			return fs_error(req, EINVAL, "%.*s: a line is NAME VALUE, or clear",
					text_first_line(name, n), name);
		return durable_unlinkat(dir, CONSTANTS_FILE, 0) && errno != ENOENT ? -errno : 0;
	}
	if (memchr(line, 0, len))
		return fs_error(req, EINVAL, "a line holds no NUL");
	return set_line(req, dir, name, n, line + from, len - from);
}

/* Lines act when they end, and with the end of a write (write_buffer_ended()). */
static ssize_t constants_write(struct fs_open *open, struct fs_req *req, const char *buf,
			       size_t len, off_t off)
{
	struct write_buffer *p = open->priv;
	size_t pos = 0, n;
	const char *line;
	int err;

	if (!len)
		return 0;
	err = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, MAX_CONSTANTS);
	if (err)
		return err;
	tree_wrlock();
	while (!err && text_next_line(p->buf, p->len, false, &pos, &line, &n))
		err = write_line(req, fs_node_fd(fs_node_base(open->node)), line, n);
	write_buffer_drop(p, err ? p->len : pos);
	p->incomplete = !write_buffer_ended(p, len, true);
	if (!p->incomplete && !write_buffer_blank(p)) { /* again, if it goes on */
		err = write_line(req, fs_node_fd(fs_node_base(open->node)), p->buf, p->len);
		if (err)
			write_buffer_drop(p, p->len);
	}
	tree_unlock();
	return err ? err : (ssize_t)len;
}

const struct fs_node_ops constants_ops = {
	.name = "constants",
	.type = S_IFREG,
	.open = fs_value_open,
	.show = constants_show,
	.write = constants_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};
