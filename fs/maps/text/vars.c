/*
 * vars.c - see vars.h
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "text/value_text.h"
#include "fs/lib/write_buffer.h"
#include "fs/maps/text/entries.h"
#include "text/json_print.h"
#include "text/json_parse.h"
#include "text/typed.h"
#include "fs/maps/text/vars.h"
#include "fs/store/node_object.h"
#include "map/syscall.h"

#define MIN_VAR_TEXT  (1u << 20)
#define VAR_TEXT_ROOM 64 /* characters for a byte */
#define VAR_SIZE_ROOM 16

struct var {
	const char *name;
	u32 index, type;
	u32 off, size;
};

static const struct btf_type *section(const struct bpf_map *map)
{
	const struct btf_type *t = NULL;

	if (map->btf && map->btf_value_type_id &&
	    typed_fits(map->btf->btf, map->btf_value_type_id, map->value_size))
		t = btf__type_by_id(map->btf->btf, map->btf_value_type_id);
	return t && btf_is_datasec(t) ? t : NULL;
}

bool vars_of(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_ARRAY && map->max_entries == 1 && section(map);
}

/* False: what stands there is no variable, or lies outside of the value. */
static bool get_var(const struct bpf_map *map, const struct btf_type *sec, u32 i, struct var *var)
{
	const struct btf_var_secinfo *info = &btf_var_secinfos(sec)[i];
	const struct btf_type *t = btf__type_by_id(map->btf->btf, info->type);
	s64 size;

	if (!t || !btf_is_var(t))
		return false;
	size = btf__resolve_size(map->btf->btf, t->type);
	if (size < 0 || info->offset > map->value_size || size > map->value_size - info->offset)
		return false;
	*var = (struct var){
		.name = typed_name(map->btf->btf, t->name_off),
		.index = i,
		.type = t->type,
		.off = info->offset,
		.size = (u32)size,
	};
	return *var->name && !strchr(var->name, '/') && strlen(var->name) <= NAME_MAX;
}

static int find_var(const struct bpf_map *map, const char *name, size_t len, struct var *var)
{
	const struct btf_type *sec = section(map);

	for (u32 i = 0; sec && i < btf_vlen(sec); i++)
		if (get_var(map, sec, i, var) && strlen(var->name) == len &&
		    !memcmp(var->name, name, len))
			return 0;
	return -ENOENT;
}

/* The map of a variable's file, with a reference, and the variable. */
static int var_of_node(struct fs_node *node, struct fs_req *req, struct bpf_map **map,
		       struct var *var)
{
	const struct btf_type *sec;
	int err = store_map(node, req, map);
	u32 i;

	if (err)
		return err;
	memcpy(&i, node->key, sizeof(i));
	sec = section(*map);
	if (sec && i < btf_vlen(sec) && get_var(*map, sec, i, var))
		return 0;
	bpf_map_put(*map);
	return -ENOENT;
}

/* ---- one variable */

/* Its bytes in `buf`, behind those that come before it in its first word. */
struct part {
	u32 off, len, lead;
	char *buf;
};

static int read_part(struct bpf_map *map, const struct var *var, struct part *part)
{
	u32 key = 0;

	part->off = var->off & ~7u;
	part->lead = var->off - part->off;
	part->len = part->lead + var->size;
	part->buf = calloc(1, part->len + 1);
	if (!part->buf)
		return -ENOMEM;
	return bpf_map_lookup_part(map, &key, part->off, part->buf, part->len);
}

static int var_open(struct fs_open *open, struct fs_req *req)
{
	struct bpf_map *map;
	struct var var;
	int err = var_of_node(open->node, req, &map, &var);

	if (err)
		return err;
	if (var.size > FS_LARGE_VALUE) {
		open->slow = true;
		err = fs_open_hold(open, (u64)var.size * VAR_SIZE_ROOM, fs_why(req));
	}
	bpf_map_put(map);
	return err ? err : fs_value_open(open, req);
}

static int var_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct part part = {0};
	struct bpf_map *map;
	struct var var;
	int err = var_of_node(node, req, &map, &var);

	if (err)
		return err;
	err = read_part(map, &var, &part);
	if (!err) {
		json_value(out, map->btf, var.type, part.buf + part.lead, var.size);
		fs_text_append(out, "\n", 1);
	}
	free(part.buf);
	bpf_map_put(map);
	return err;
}

static u64 var_size(struct fs_node *node, struct fs_req *req)
{
	struct bpf_map *map;
	struct var var;
	u64 size = 0;

	if (var_of_node(node, req, &map, &var))
		return 0;
	if (var.size > FS_LARGE_VALUE)
		size = (u64)var.size * VAR_SIZE_ROOM;
	bpf_map_put(map);
	return size;
}

/* `echo eth0 > name`: a string needs no quotes. */
static bool is_bare_string(const struct bpf_map *map, const struct var *var, const char *s,
			   size_t len)
{
	const struct btf_type *t = typed_resolve(map->btf->btf, var->type);

	return t && btf_is_array(t) && typed_is_char(map->btf->btf, btf_array(t)->type) && len &&
	       s[0] != '"' && s[0] != '[';
}

/* TEXT_COMPLETE, TEXT_INCOMPLETE or -errno with a sentence. */
static int parse_var(struct fs_req *req, const struct bpf_map *map, const struct var *var,
		     const char *s, size_t len, char *data, u8 *said)
{
	struct fs_text quoted = {0};
	ssize_t whole;
	int err;

	while (len && text_is_blank(s[0]))
		s++, len--;
	if (!len)
		return TEXT_INCOMPLETE;
	if (is_bare_string(map, var, s, len)) {
		while (len && (s[len - 1] == '\n' || s[len - 1] == '\r'))
			len--;
		json_string(&quoted, s, len);
		if (quoted.err)
			return quoted.err;
		s = quoted.buf;
		len = quoted.len;
	}
	whole = json_extent(s, len);
	if (whole > 0) {
		err = json_parse(s, len, map->btf, var->type, data, said, var->size, fs_why(req));
		if (err)
			error_about(fs_why(req), err, var->name);
		else
			err = TEXT_COMPLETE;
	} else {
		err = whole ? fs_error(req, EINVAL, "%s: this begins as JSON and is none",
				       var->name)
			    : TEXT_INCOMPLETE;
	}
	fs_text_free(&quoted);
	return err;
}

int vars_set_initial(struct fs_req *req, struct bpf_btf *btf, u32 type_id, void *data, u32 size,
		     const char *name, size_t name_len, const char *value, size_t len)
{
	/* As much of a map as is looked at. */
	const struct bpf_map map = {.btf = btf, .btf_value_type_id = type_id, .value_size = size};
	__do_free u8 *said = NULL;
	struct var var;
	int ret = find_var(&map, name, name_len, &var);

	if (ret)
		return ret;
	said = calloc(1, var.size + 1);
	if (!said)
		return -ENOMEM;
	ret = parse_var(req, &map, &var, value, len, (char *)data + var.off, said);
	if (ret == TEXT_INCOMPLETE)
		return fs_error(req, EINVAL, "%s: its value is cut", var.name);
	return min(ret, 0);
}

static int set_var(struct fs_req *req, struct bpf_map *map, const struct var *var, const char *s,
		   size_t len)
{
	__do_free u8 *said = NULL;
	struct part part = {0};
	u32 key = 0;
	int ret = read_part(map, var, &part);

	said = calloc(1, part.len + 1);
	if (!ret && !said)
		ret = -ENOMEM;
	if (!ret)
		ret = parse_var(req, map, var, s, len, part.buf + part.lead, said + part.lead);
	if (ret == TEXT_COMPLETE) {
		ret = bpf_map_update_part(map, &key, part.off, part.buf, said, part.len);
		if (ret == -EPERM && map->frozen)
			fs_error(req, EPERM,
				 "%s is a constant, which the verifier relied on: it is set for a "
				 "load that is to come",
				 var->name);
		ret = ret ? entries_update_error(req, map, ret) : TEXT_COMPLETE;
	}
	free(part.buf);
	return ret;
}

static ssize_t var_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			 off_t off)
{
	struct write_buffer *p = open->priv;
	struct bpf_map *map;
	struct var var;
	int err;

	if (!len)
		return 0;
	err = var_of_node(open->node, req, &map, &var);
	if (err)
		return err;
	err = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND,
			     MIN_VAR_TEXT + (size_t)var.size * VAR_TEXT_ROOM);
	if (!err)
		err = set_var(req, map, &var, p->buf, p->len);
	if (err == TEXT_INCOMPLETE)
		err = fs_value_await(
			p, req, !json_begins(p->buf, p->len) && write_buffer_ended(p, len, false));
	if (err < 0 || (err == TEXT_COMPLETE && p->buf[p->len - 1] == '\n'))
		write_buffer_drop(p, p->len);
	bpf_map_put(map);
	return err < 0 ? err : (ssize_t)len;
}

static void var_name(const struct fs_node *node, struct fs_text *out)
{
	struct fs_req quiet = {.quiet = true};
	struct bpf_map *map;
	struct var var;

	if (var_of_node((struct fs_node *)node, &quiet, &map, &var))
		return;
	fs_text_printf(out, "%s", var.name);
	bpf_map_put(map);
}

static const struct fs_node_ops var_ops = {
	.name = "variable",
	.type = S_IFREG,
	.key_name = var_name,
	.size = var_size,
	.open = var_open,
	.show = var_show,
	.write = var_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};
FS_KIND(var_ops, "variable");

/* ---- the directory */

static int vars_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node **out)
{
	struct bpf_map *map;
	struct var var;
	int err = store_map(dir, req, &map);

	if (err)
		return err;
	err = find_var(map, name, strlen(name), &var);
	if (!err)
		err = fs_node_keyed(dir, &var_ops, &var.index, sizeof(var.index), out);
	bpf_map_put(map);
	return err;
}

static int vars_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			void *arg)
{
	const struct btf_type *sec;
	struct bpf_map *map;
	struct var var;
	bool more = true;

	if (store_map(open->node, req, &map)) /* a dropped map reads as empty */
		return 0;
	sec = section(map);
	for (u64 i = cursor; sec && more && i < btf_vlen(sec); i++)
		if (get_var(map, sec, (u32)i, &var))
			more = emit(arg, var.name, i + 1, S_IFREG, i + 1);
	bpf_map_put(map);
	return 0;
}

/* Variables go with their map: what rm -r unlinks when that is gone is gone already. */
static int vars_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	struct bpf_map *map;
	int err = store_map(dir, req, &map);

	if (err)
		return err == -ENOENT ? 0 : err;
	bpf_map_put(map);
	return fs_error(req, EPERM, "a variable goes with its map");
}

const struct fs_node_ops vars_dir_ops = {
	.name = "vars",
	.type = S_IFDIR,
	.lookup = vars_lookup,
	.readdir = vars_readdir,
	.unlink = vars_unlink,
};
