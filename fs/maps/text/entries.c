/*
 * entries.c - entries/<key>: lookup is cat, update is echo, delete is rm, iterate is ls (see
 * entries.h)
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "run/run.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "fs/maps/text/entries.h"
#include "fs/keeper/requests.h"
#include "fs/lib/write_buffer.h"
#include "text/json_parse.h"
#include "fs/store/resolve.h"
#include "fs/store/objects/object.h"
#include "fs/store/node_object.h"
#include "fs/maps/text/stack_symbols.h"
#include "text/typed.h"
#include "text/value_text.h"

#define MAX_VALUE_TEXT (64u << 20)
#define PRINTED	       4 /* bytes of memory for a byte of a value: itself, and three characters */

bool entries_percpu(const struct bpf_map *map)
{
	return map->ops->percpu;
}

bool entries_slots(const struct bpf_map *map)
{
	return map->ops->map_update_slot != NULL;
}

/*
 * Does copying, parsing or printing a value take as long as a run may? Then it is done on a worker.
 */
static bool entries_large(const struct bpf_map *map)
{
	return bpf_map_value_size(map) > FS_LARGE_VALUE;
}

int entries_prepare(struct fs_open *open, struct fs_req *req, const struct bpf_map *map)
{
	if (!entries_large(map))
		return 0;
	open->slow = true;
	if ((open->flags & O_ACCMODE) == O_WRONLY)
		return 0;
	return fs_open_hold(open, (u64)bpf_map_value_size(map) * PRINTED, fs_why(req));
}

void entries_print(const struct bpf_map *map, const void *key, const void *value,
		   const char *prefix, struct fs_text *out)
{
	u32 stride = round_up(map->value_size, 8), cpu;

	if (map->map_type == BPF_MAP_TYPE_STACK_TRACE) {
		symbols_print(map, key, value, prefix, out);
		return;
	}
	if (!entries_percpu(map)) {
		fs_text_printf(out, "%s", prefix);
		text_print_value(out, value, map->value_size);
		fs_text_append(out, "\n", 1);
		return;
	}
	for (cpu = 0; cpu < bpf_nr_slots(); cpu++) {
		fs_text_printf(out, "%scpu%u ", prefix, cpu);
		text_print_value(out, (const char *)value + (size_t)cpu * stride, map->value_size);
		fs_text_append(out, "\n", 1);
	}
}

/* What can be nothing but JSON; names of enumerators and fractions, where the type has them. */
static bool is_json(const struct bpf_map *map, const char *text, size_t len)
{
	const struct btf_type *t = NULL;
	size_t pos = 0, n;
	const char *word;

	if (json_begins(text, len))
		return true;
	if (map->btf && map->btf_value_type_id &&
	    typed_fits(map->btf->btf, map->btf_value_type_id, map->value_size))
		t = typed_resolve(map->btf->btf, map->btf_value_type_id);
	return t && (btf_is_any_enum(t) || btf_is_float(t)) &&
	       text_next_word(text, len, &pos, &word, &n) &&
	       !text_next_word(text, len, &pos, &word, &n);
}

/*
 * One value of map->value_size bytes: JSON, or what is printed. said: the bytes that the text says
 * become 1; the others keep what `value` holds.
 */
static int parse_value(struct fs_req *req, const struct bpf_map *map, const char *text, size_t len,
		       bool json, char *value, u8 *said)
{
	ssize_t whole;
	int ret;

	if (!json) {
		memset(said, 1, map->value_size);
		return text_parse_value(text, len, value, map->value_size);
	}
	whole = json_extent(text, len);
	if (!whole)
		return TEXT_INCOMPLETE;
	if (whole < 0)
		return fs_error(req, EINVAL, "this begins as JSON and is none");
	ret = json_parse(text, len, map->btf, map->btf_value_type_id, value, said, map->value_size,
			 fs_why(req));
	if (ret == -EINVAL && text[whole - 1] == '-') { /* of a number */
		error_clear(&req->error);
		return TEXT_INCOMPLETE;
	}
	return ret ? ret : TEXT_COMPLETE;
}

/*
 * Lines `cpuN value`, in any order: of these CPUs, the others keep what `value` holds. A single
 * bare value is every CPU's.
 */
static int parse_percpu(struct fs_req *req, const struct bpf_map *map, const char *text, size_t len,
			bool json, char *value, u8 *said)
{
	u32 stride = round_up(map->value_size, 8), nr = bpf_nr_slots(), got = 0, i;
	size_t pos = 0, n, k, w;
	const char *line, *word;
	u64 cpu;
	int ret;

	while (text_next_line(text, len, true, &pos, &line, &n)) {
		k = 0;
		if (!text_next_word(line, n, &k, &word, &w))
			continue;
		if (w < 4 || memcmp(word, "cpu", 3)) {
			if (got)
				return -EINVAL;
			ret = TEXT_COMPLETE;
			for (i = 0; ret == TEXT_COMPLETE && i < nr; i++)
				ret = parse_value(req, map, text, len, json,
						  value + (size_t)i * stride, said);
			return ret;
		}
		if (text_parse_u64(word + 3, w - 3, nr - 1, &cpu) != TEXT_COMPLETE)
			return -EINVAL;
		ret = parse_value(req, map, line + k, n - k, is_json(map, line + k, n - k),
				  value + cpu * stride, said);
		if (ret == TEXT_INCOMPLETE && pos >= len)
			return TEXT_INCOMPLETE;
		if (ret != TEXT_COMPLETE)
			return ret == TEXT_INCOMPLETE ? -EINVAL : ret;
		got++;
	}
	return got ? TEXT_COMPLETE : TEXT_INCOMPLETE;
}

/*
 * A slot takes a program's (or map's) name, path or id. A line is whole when it ends; a lone id or
 * name at once.
 */
static int write_slot(struct fs_req *req, struct bpf_map *map, const void *key, const char *text,
		      size_t len, u64 flags)
{
	enum store_kind kind = map->map_type == BPF_MAP_TYPE_PROG_ARRAY ? STORE_PROG : STORE_MAP;
	struct store_object *obj;
	char name[PATH_MAX];
	int err = resolve_word(req, kind, text, len, RESOLVE_USE, name, &obj);

	if (err != TEXT_COMPLETE)
		return err;
	err = bpf_map_update_slot(map, key, kind == STORE_PROG ? (void *)obj->prog : obj->map,
				  flags);
	store_put(obj);
	if (err == -EINVAL)
		return fs_error(
			req, EINVAL,
			kind == STORE_PROG
				? "%s does not fit into this %s: its programs are all of one type"
				: "%s does not fit into this %s: type, sizes and flags must be "
				  "those of inner_map "
				  "(of arrays max_entries, too)",
			name, bpf_map_type_name(map->map_type));
	return err ? err : TEXT_COMPLETE;
}

int entries_update_error(struct fs_req *req, const struct bpf_map *map, int err)
{
	switch (err) {
	case -E2BIG:
		if (map->values) /* an array */
			return fs_error(req, E2BIG,
					"the map holds at most %u entries: keys go from 0 to %u",
					map->max_entries, map->max_entries - 1);
		return fs_error(req, E2BIG,
				"the map holds at most %u entries: remove some, or make one with a "
				"larger max_entries",
				map->max_entries);
	case -EEXIST:
		return fs_error(req, EEXIST, "the key is there already");
	case -ENOMEM:
		return fs_error(
			req, ENOMEM,
			"there is no memory for one more entry, or the filesystem of the state "
			"directory is full");
	case -ENOSPC:
		return fs_error(
			req, ENOSPC,
			"the filesystem of the state directory is full: what is written to this "
			"map now does not outlive the server");
	case -ENOENT:
		return fs_error(req, ENOENT,
				"no such entry: attaching a program to a cgroup makes the entries "
				"of this map");
	case -EPERM:
		return fs_error(req, EPERM,
				map->frozen
					? "the map is frozen: its values stay as they are"
					: "the map was made read-only from outside of programs");
	default:
		return err;
	}
}

/* An array's value: only the bytes that were said, for programs change the others meanwhile. */
static int update(struct bpf_map *map, const void *key, const char *value, u8 *said, u64 flags)
{
	int err = -EOPNOTSUPP;

	if (memchr(said, 0, map->value_size) && !entries_percpu(map) && !(flags & BPF_NOEXIST))
		err = bpf_map_update_part(map, key, 0, value, said, map->value_size);
	if (err == -EOPNOTSUPP)
		err = bpf_map_update(map, key, value, flags | bpf_map_lock_flag(map));
	return err;
}

static int write_value(struct fs_req *req, struct bpf_map *map, const void *key, int cpu,
		       const char *text, size_t len, u64 flags, bool json)
{
	u32 size = bpf_map_value_size(map), stride = round_up(map->value_size, 8);
	__do_free char *value = NULL;
	__do_free u8 *said = NULL;
	int ret = 0;

	value = calloc(1, size ? size : 1);
	said = calloc(1, map->value_size ? map->value_size : 1);
	if (!value || !said)
		return -ENOMEM;
	/* The other CPUs, and members that are not named, keep theirs. */
	if (key && (entries_percpu(map) || json))
		ret = bpf_map_lookup(map, key, value, bpf_map_lock_flag(map));
	if (ret && ret != -ENOENT)
		return ret;
	if (cpu < 0 && entries_percpu(map))
		ret = parse_percpu(req, map, text, len, json, value, said);
	else
		ret = parse_value(req, map, text, len, json, value + (size_t)max(cpu, 0) * stride,
				  said);
	if (ret == TEXT_COMPLETE) {
		ret = update(map, key, value, said, flags);
		return ret ? entries_update_error(req, map, ret) : TEXT_COMPLETE;
	}
	if (ret < 0)
		fs_error(req, -ret,
			 text_number_size(map->value_size)
				 ? "a value here is a number that fits into %u bytes, or that many "
				   "hexadecimal bytes"
				 : "a value here is %u hexadecimal bytes",
			 map->value_size);
	return ret;
}

int entries_write(struct fs_req *req, struct bpf_map *map, const void *key, int cpu,
		  const char *text, size_t len, u64 flags)
{
	if (entries_slots(map))
		return write_slot(req, map, key, text, len, flags);
	return write_value(req, map, key, cpu, text, len, flags, is_json(map, text, len));
}

int entries_write_json(struct fs_req *req, struct bpf_map *map, const void *key, int cpu,
		       const char *text, size_t len)
{
	return write_value(req, map, key, cpu, text, len, BPF_ANY, true);
}

/* ---- one entry */

static int entry_open(struct fs_open *open, struct fs_req *req)
{
	struct bpf_map *map;
	int err = store_map(open->node, req, &map);

	if (!err) {
		err = entries_slots(map) ? fs_open_keep_groups(open, req)
					 : entries_prepare(open, req, map);
		bpf_map_put(map);
		if (err)
			return err;
	}
	return fs_value_open(open, req);
}

static int entry_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct bpf_map *map;
	char *value;
	int err = store_map(node, req, &map);

	if (err)
		return err;
	value = malloc(bpf_map_value_size(map) + 1);
	err = value ? bpf_map_lookup(map, node->key, value, bpf_map_lock_flag(map)) : -ENOMEM;
	if (!err)
		entries_print(map, node->key, value, "", out);
	free(value);
	bpf_map_put(map);
	return err;
}

enum { WAS_ABSENT = 1, WAS_THERE }; /* before an exclusive create */

/* Has it the value that was written? */
static bool has_value(struct bpf_map *map, void *key, const struct write_buffer *p)
{
	u32 size = bpf_map_value_size(map);
	__do_free char *now = malloc(size), *want = malloc(size);

	return now && want && !entries_percpu(map) && !entries_slots(map) &&
	       text_parse_value(p->buf, p->len, want, map->value_size) == TEXT_COMPLETE &&
	       !bpf_map_lookup(map, key, now, bpf_map_lock_flag(map)) &&
	       !memcmp(now, want, map->value_size);
}

/*
 * A server may have made the entry and died before it said so. Then it is there, was not before,
 * and has this value.
 */
static int create_once(struct fs_open *open, struct fs_req *req, struct bpf_map *map)
{
	const struct write_buffer *p = open->priv;
	void *key = open->node->key;
	u64 before = req->unique ? requests_intended(req->unique) : 0;
	int err;

	if (req->unique && !before)
		requests_intent(req->unique, bpf_map_contains(map, key) ? WAS_ABSENT : WAS_THERE);
	err = entries_write(req, map, key, -1, p->buf, p->len, BPF_NOEXIST);
	if (err != -EEXIST || before != WAS_ABSENT || !has_value(map, key, p))
		return err;
	error_clear(&req->error);
	return TEXT_COMPLETE;
}

static ssize_t entry_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			   off_t off)
{
	struct write_buffer *p = open->priv;
	struct bpf_map *map;
	int err;

	if (!len)
		return 0;
	err = store_map(open->node, req, &map);
	if (err)
		return err;
	err = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, MAX_VALUE_TEXT);
	if (!err && open->flags & O_EXCL)
		err = create_once(open, req, map);
	else if (!err)
		err = entries_write(req, map, open->node->key, -1, p->buf, p->len, BPF_ANY);
	if (err == TEXT_INCOMPLETE) /* JSON may go on in the next line */
		err = fs_value_await(
			p, req, !json_begins(p->buf, p->len) && write_buffer_ended(p, len, false));
	/* A whole line was used: what follows on this descriptor is another value. */
	if (err < 0 || (err == TEXT_COMPLETE && p->buf[p->len - 1] == '\n')) {
		write_buffer_drop(p, p->len);
		open->flags &= ~O_EXCL;
	}
	bpf_map_put(map);
	return err < 0 ? err : (ssize_t)len;
}

static void entry_name(const struct fs_node *node, struct fs_text *out)
{
	struct fs_req quiet = {.quiet = true};
	enum key_form form;
	struct bpf_map *map;

	if (store_map((struct fs_node *)node, &quiet, &map)) {
		text_print_key(out, node->key, node->key_len);
		return;
	}
	if (key_form_of((struct fs_node *)node, map, &form))
		form = KEYS_NUMBER;
	key_print(map, form, node->key, out);
	bpf_map_put(map);
}

/* A large value is not printed to be counted: two digits a byte, and what parts them. */
static u64 entry_size(struct fs_node *node, struct fs_req *req)
{
	struct bpf_map *map;
	u64 size = 0;

	if (store_map(node, req, &map))
		return 0;
	if (entries_large(map))
		size = 3 * (u64)bpf_map_value_size(map) +
		       (entries_percpu(map) ? bpf_nr_slots() * 8ULL : 0);
	bpf_map_put(map);
	return size;
}

static const struct fs_node_ops entry_ops = {
	.name = "entry",
	.type = S_IFREG,
	.key_name = entry_name,
	.size = entry_size,
	.open = entry_open,
	.show = entry_show,
	.write = entry_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};
FS_KIND(entry_ops, "entry");

/* ---- the directory */

static bool has_files(const struct bpf_map *map)
{
	return map->key_size && map->key_size <= ENTRIES_MAX_KEY;
}

/* The key that a file name stands for; -ENOENT when it stands for none. */
static int parse_name(struct fs_node *dir, struct bpf_map *map, const char *name, u8 *key)
{
	enum key_form form;
	int err = key_form_of(dir, map, &form);

	if (err)
		return err;
	if (!has_files(map) || key_parse(map, form, name, strlen(name), key))
		return -ENOENT;
	return 0;
}

static int entries_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			  struct fs_node **out)
{
	u8 key[ENTRIES_MAX_KEY + 1];
	struct bpf_map *map;
	int err = store_map(dir, req, &map);

	if (err)
		return err;
	err = parse_name(dir, map, name, key);
	if (!err)
		err = bpf_map_contains(map, key);
	if (!err)
		err = fs_node_keyed(dir, &entry_ops, key, map->key_size, out);
	bpf_map_put(map);
	return err;
}

static int entries_create(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
			  int flags, struct fs_node **out)
{
	u8 key[ENTRIES_MAX_KEY + 1];
	enum key_form form;
	struct bpf_map *map;
	int err = store_map(dir, req, &map);

	if (err)
		return err;
	if (map->key_size > ENTRIES_MAX_KEY)
		err = fs_error(req, EINVAL, "keys of %u bytes are too long for names: use dump",
			       map->key_size);
	else
		err = parse_name(dir, map, name, key);
	if (err == -ENOENT && !key_form_of(dir, map, &form))
		err = fs_error(req, EINVAL,
			       "a key of this map is %s of %u bytes, as `ls` shows them",
			       key_form_about(map, form), map->key_size);
	if (!err)
		err = fs_node_keyed(dir, &entry_ops, key, map->key_size, out);
	bpf_map_put(map);
	return err;
}

static int entries_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	u8 key[ENTRIES_MAX_KEY + 1];
	struct bpf_map *map;
	int err = store_map(dir, req, &map);

	if (err == -ENOENT) /* the map's name is gone, and this directory with it */
		return 0;
	if (err)
		return err;
	err = parse_name(dir, map, name, key);
	if (!err)
		err = bpf_map_delete(map, key);
	if (err == -EINVAL)
		fs_error(req, EINVAL, "entries of %s maps cannot be deleted: write 0 to it",
			 bpf_map_type_name(map->map_type));
	bpf_map_put(map);
	return err;
}

/* One walk: the iterator, and the entry that did not fit into the caller's buffer. */
struct walk {
	struct bpf_map_iter it;
	struct bpf_map *map;
	u64 given; /* entries emitted so far = the cursor */
	enum key_form form;
	bool waiting; /* `key` is the next to give */
	u8 key[ENTRIES_MAX_KEY + 1];
};

static int entries_open(struct fs_open *open, struct fs_req *req)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	int err = 0;

	if (!walk)
		return -ENOMEM;
	/* A dropped map reads as empty. */
	if (store_map(open->node, req, &walk->map))
		walk->map = NULL;
	else
		err = key_form_of(open->node, walk->map, &walk->form);
	if (err) {
		bpf_map_put(walk->map);
		free(walk);
		return err;
	}
	if (walk->map)
		bpf_map_iter_init(&walk->it, walk->map, true);
	open->priv = walk;
	return 0;
}

static void entries_release(struct fs_open *open)
{
	struct walk *walk = open->priv;

	if (walk->map) {
		bpf_map_iter_end(&walk->it);
		bpf_map_put(walk->map);
	}
	free(walk);
}

static int walk_next(struct walk *walk)
{
	int ret;

	if (walk->waiting)
		return 1;
	ret = bpf_map_iter_next(&walk->it, walk->key, NULL);
	walk->waiting = ret > 0;
	return ret;
}

static int entries_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			   void *arg)
{
	struct walk *walk = open->priv;
	struct fs_text name = {0};
	int ret;

	if (!walk->map || !has_files(walk->map))
		return 0;
	if (cursor != walk->given) { /* rewinddir, seekdir */
		bpf_map_iter_rewind(&walk->it);
		walk->waiting = false;
		for (walk->given = 0; walk->given < cursor; walk->given++) {
			ret = walk_next(walk);
			if (ret <= 0)
				return ret;
			walk->waiting = false;
		}
	}
	while ((ret = walk_next(walk)) > 0) {
		name.len = 0;
		key_print(walk->map, walk->form, walk->key, &name);
		fs_text_append(&name, "", 1);
		if (name.err) {
			ret = name.err;
			break;
		}
		if (!emit(arg, name.buf, walk->given + 1, S_IFREG, walk->given + 1)) {
			ret = 0;
			break;
		}
		walk->given++;
		walk->waiting = false;
	}
	fs_text_free(&name);
	return ret;
}

const struct fs_node_ops entries_dir_ops = {
	.name = "entries",
	.type = S_IFDIR,
	.open = entries_open,
	.release = entries_release,
	.lookup = entries_lookup,
	.readdir = entries_readdir,
	.create = entries_create,
	.unlink = entries_unlink,
};
