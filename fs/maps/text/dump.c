/*
 * dump.c - a map's entries in one file: dump (text, can be written back), dump.json and raw
 * (records)
 *
 * Nothing is built in memory but one entry: an open description walks the map with an iterator,
 * which gives every entry that lives through the walk exactly once. Reads go forward; a read at
 * offset 0 starts again, any other jump back starts again and skips.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "run/run.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "fs/maps/text/entries.h"
#include "text/json_print.h"
#include "fs/maps/text/json_entries.h"
#include "fs/keeper/records.h"
#include "fs/lib/write_buffer.h"
#include "fs/store/node_object.h"
#include "text/value_text.h"

#define MAX_LINE (64u << 20)

struct dump {
	struct bpf_map *map;
	struct bpf_map_iter it;
	enum key_form form;
	bool begun, ended;
	u64 given; /* entries printed */
	off_t pos; /* file offset of text.buf[0] */
	struct fs_text text; /* the entry being given */
	bool cut; /* an entry was given up in the middle: begin again */
	size_t text_held; /* bytes of it that are charged */
	char *key, *value;
	struct write_buffer buffer;
	bool incomplete; /* the last line waits for more */
	bool held; /* it may be whole, but came at the end of a full buffer */
	u64 line; /* lines that were used up */
	struct json_entries json; /* dump.json */
};

static int dump_open(struct fs_open *open, struct fs_req *req)
{
	struct dump *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	err = store_map(open->node, req, &d->map);
	if (err) {
		free(d);
		return err;
	}
	err = entries_prepare(open, req, d->map);
	if (!err)
		err = key_form_of(open->node, d->map, &d->form);
	if (!err)
		err = fs_open_hold(open, d->map->key_size + (u64)bpf_map_value_size(d->map) + 16,
				   fs_why(req));
	if (!err) {
		d->key = malloc(d->map->key_size + 8);
		d->value = malloc(bpf_map_value_size(d->map) + 8);
		err = !d->key || !d->value    ? -ENOMEM
		      : entries_slots(d->map) ? fs_open_keep_groups(open, req)
					      : 0;
	}
	if (err) {
		bpf_map_put(d->map);
		free(d->key);
		free(d->value);
		free(d);
		return err;
	}
	bpf_map_iter_init(&d->it, d->map, false);
	d->it.flags = bpf_map_lock_flag(d->map);
	open->priv = d;
	return 0;
}

/* What is kept, by words: the buffer, then these, a text of one entry, the walk. */
enum {
	KEPT_FLAGS = WRITE_BUFFER_WORDS,
	KEPT_LINE,
	KEPT_POS,
	KEPT_GIVEN,
	KEPT_LEN,
	KEPT_TEXT,
	KEPT_WALK = KEPT_TEXT + 12,
};

#define TEXT_ROOM ((KEPT_WALK - KEPT_TEXT) * sizeof(u64))
#define WALK_ROOM ((KEPT_WORDS - KEPT_WALK) * sizeof(u64))

/* Large entries are more than is kept: a walk that is among them is lost. */
static void dump_keep(struct fs_open *open, struct kept *kept)
{
	const struct dump *d = open->priv;
	u64 *v = kept->v;

	fs_buffer_keep(&d->buffer, kept, 0);
	kept->lost |= d->json.listed && !d->json.ended; /* a document is one thing */
	kept->lost |= !write_buffer_blank(&d->json.buffer);
	v[KEPT_FLAGS] = (u64)d->incomplete | (u64)d->held << 1 | (u64)d->ended << 2 |
			(u64)d->begun << 3 | (u64)d->cut << 4;
	v[KEPT_LINE] = d->line;
	v[KEPT_POS] = (u64)d->pos;
	v[KEPT_GIVEN] = d->given;
	v[KEPT_LEN] = d->text.len;
	if (d->text.len > TEXT_ROOM || !bpf_map_iter_save(&d->it, v + KEPT_WALK, WALK_ROOM)) {
		kept->lost |= d->begun && !d->ended && !d->cut;
		v[KEPT_POS] += d->text.len; /* at the end */
		v[KEPT_LEN] = 0;
	}
	if (v[KEPT_LEN])
		memcpy(v + KEPT_TEXT, d->text.buf, v[KEPT_LEN]);
}

static void dump_restore(struct fs_open *open, const struct kept *kept)
{
	struct dump *d = open->priv;
	const u64 *v = kept->v;

	fs_buffer_restore(open, &d->buffer, kept, 0);
	d->incomplete = v[KEPT_FLAGS] & 1;
	d->held = v[KEPT_FLAGS] & 2;
	d->ended = v[KEPT_FLAGS] & 4;
	d->begun = v[KEPT_FLAGS] & 8;
	d->cut = v[KEPT_FLAGS] & 16;
	d->line = v[KEPT_LINE];
	d->pos = (off_t)v[KEPT_POS];
	d->given = v[KEPT_GIVEN];
	fs_text_append(&d->text, (const char *)(v + KEPT_TEXT), min(v[KEPT_LEN], TEXT_ROOM));
	if (d->begun && !d->ended && bpf_map_iter_resume(&d->it, v + KEPT_WALK, WALK_ROOM))
		d->cut = true;
}

static void print_key(const struct dump *d, struct fs_text *out)
{
	if (d->map->key_size) {
		key_print(d->map, d->form, d->key, out);
		fs_text_append(out, " ", 1);
	}
}

static void print_line(struct dump *d)
{
	struct fs_text prefix = {0};

	print_key(d, &prefix);
	fs_text_append(&prefix, "", 1);
	if (prefix.err)
		d->text.err = prefix.err;
	else if (fs_text_spend(&d->text, prefix.work))
		entries_print(d->map, d->key, d->value, prefix.buf, &d->text);
	fs_text_free(&prefix);
}

/*
 * A record: the key, the value, each padded to 8 bytes, so that its size follows from the
 * attributes alone.
 */
static void print_record(struct dump *d)
{
	static const char zero[8];
	u32 key = d->map->key_size, value = bpf_map_value_size(d->map);

	fs_text_append(&d->text, d->key, key);
	fs_text_append(&d->text, zero, round_up(key, 8) - key);
	fs_text_append(&d->text, d->value, value);
	fs_text_append(&d->text, zero, round_up(value, 8) - value);
}

/* One line an entry. */
static void print_json(struct dump *d)
{
	const struct bpf_map *map = d->map;
	u32 stride = round_up(map->value_size, 8);

	fs_text_printf(&d->text, "%s\n{", d->given ? "," : "");
	if (map->key_size) {
		fs_text_printf(&d->text, "\"key\":");
		json_value(&d->text, map->btf, map->btf_key_type_id, d->key, map->key_size);
		fs_text_append(&d->text, ",", 1);
	}
	if (!entries_percpu(map)) {
		fs_text_printf(&d->text, "\"value\":");
		json_value(&d->text, map->btf, map->btf_value_type_id, d->value, map->value_size);
		fs_text_append(&d->text, "}", 1);
		return;
	}
	fs_text_printf(&d->text, "\"values\":[");
	for (u32 cpu = 0; cpu < bpf_nr_slots(); cpu++) {
		fs_text_printf(&d->text, "%s{\"cpu\":%u,\"value\":", cpu ? "," : "", cpu);
		json_value(&d->text, map->btf, map->btf_value_type_id,
			   d->value + (size_t)cpu * stride, map->value_size);
		fs_text_append(&d->text, "}", 1);
	}
	fs_text_append(&d->text, "]}", 2);
}

static void begin_json(struct dump *d)
{
	fs_text_append(&d->text, "[", 1);
}

static void end_json(struct dump *d)
{
	fs_text_printf(&d->text, "%s]\n", d->given ? "\n" : "");
}

struct format {
	void (*begin)(struct dump *d); /* may be NULL */
	void (*print)(struct dump *d); /* an entry */
	void (*end)(struct dump *d); /* may be NULL */
};

static const struct format line_format = {.print = print_line};
static const struct format record_format = {.print = print_record};
static const struct format json_format = {begin_json, print_json, end_json};

/* What comes next, into d->text. */
static int stream_next(struct dump *d, const struct format *format)
{
	int ret;

	if (!d->begun) {
		d->begun = true;
		if (format->begin) {
			format->begin(d);
			return d->text.err;
		}
	}
	ret = bpf_map_iter_next(&d->it, d->key, d->value);
	if (ret < 0)
		return ret;
	if (ret > 0) {
		format->print(d);
		d->given++;
	} else {
		d->ended = true;
		if (format->end)
			format->end(d);
	}
	return d->text.err;
}

/* The text has grown to the size of an entry, and stays. */
static int hold_text(struct fs_open *open, struct fs_req *req)
{
	struct dump *d = open->priv;
	size_t cap = d->text.cap;
	int err = cap > d->text_held ? fs_open_hold(open, cap - d->text_held, fs_why(req)) : 0;

	if (err) {
		fs_open_let(open, d->text_held);
		cap = 0;
		fs_text_free(&d->text);
	}
	d->text_held = cap;
	return err;
}

static ssize_t stream(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off,
		      const struct format *format)
{
	struct dump *d = open->priv;
	size_t done = 0, skip, n;
	int ret;

	if (off < d->pos || d->cut) {
		bpf_map_iter_rewind(&d->it);
		d->text.len = d->pos = d->given = 0;
		d->begun = d->ended = d->cut = false;
		d->text.err = 0;
	}
	while (done < len) {
		if (off + (off_t)done < d->pos + (off_t)d->text.len) {
			skip = off + done - d->pos;
			n = min(d->text.len - skip, len - done);
			memcpy(buf + done, d->text.buf + skip, n);
			done += n;
			continue;
		}
		if (d->ended)
			break;
		d->pos += d->text.len;
		d->text.len = 0;
		d->text.cancel = &req->cancel;
		ret = fs_cancelled(req) ? -EINTR : stream_next(d, format);
		d->text.cancel = NULL;
		if (ret >= 0)
			ret = hold_text(open, req);
		d->cut = ret < 0;
		if (ret < 0)
			return ret;
	}
	return done;
}

static ssize_t dump_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	return stream(open, req, buf, len, off, &line_format);
}

static ssize_t json_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	return stream(open, req, buf, len, off, &json_format);
}

static ssize_t json_file_write(struct fs_open *open, struct fs_req *req, const char *buf,
			       size_t len, off_t off)
{
	struct dump *d = open->priv;

	return json_entries_write(&d->json, open, req, d->map, d->key, buf, len, off);
}

static int json_flush(struct fs_open *open, struct fs_req *req)
{
	struct dump *d = open->priv;

	return json_entries_flush(&d->json, req);
}

/*
 * The records of an array are where their index says: a read goes there, not through those before
 * it.
 */
static ssize_t read_array(struct fs_open *open, struct fs_req *req, char *buf, size_t len,
			  off_t off)
{
	struct dump *d = open->priv;
	size_t size = round_up(d->map->key_size, 8) + round_up(bpf_map_value_size(d->map), 8);
	size_t done = 0, skip, n;
	int err;

	while (done < len && (off + done) / size < d->map->max_entries) {
		u32 index = (off + done) / size;

		if (fs_cancelled(req))
			return -EINTR;
		memcpy(d->key, &index, sizeof(index));
		err = bpf_map_lookup(d->map, d->key, d->value, bpf_map_lock_flag(d->map));
		if (err)
			return err;
		d->text.len = 0;
		print_record(d);
		err = d->text.err ? d->text.err : hold_text(open, req);
		if (err)
			return err;
		skip = (off + done) % size;
		n = min(size - skip, len - done);
		memcpy(buf + done, d->text.buf + skip, n);
		done += n;
	}
	return done;
}

static ssize_t raw_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	struct dump *d = open->priv;

	if (d->map->values)
		return read_array(open, req, buf, len, off);
	return stream(open, req, buf, len, off, &record_format);
}

static bool is_blank(const char *s, size_t len)
{
	size_t pos = 0, n;
	const char *word;

	return !text_next_word(s, len, &pos, &word, &n);
}

static bool is_comment(const char *line, size_t len)
{
	size_t pos = 0, n;
	const char *word;

	return text_next_word(line, len, &pos, &word, &n) && word[0] == '#';
}

/* The line `clear`: every entry goes that lives while this walks. */
static int clear(struct dump *d, struct fs_req *req)
{
	struct bpf_map *map = d->map;
	struct bpf_map_iter it;
	int ret;

	if (!map->key_size) {
		while (!(ret = bpf_map_pop(map, d->value, 0)))
			if (fs_cancelled(req))
				return -EINTR;
		if (ret == -ENOENT)
			return TEXT_COMPLETE;
		return fs_error(req, -ret, "a %s map cannot be emptied",
				bpf_map_type_name(map->map_type));
	}
	bpf_map_iter_init(&it, map, true);
	while ((ret = bpf_map_iter_next(&it, d->key, NULL)) > 0) {
		ret = fs_cancelled(req) ? -EINTR : bpf_map_delete(map, d->key);
		if (ret && ret != -ENOENT)
			break;
	}
	bpf_map_iter_end(&it);
	if (ret == -EINVAL)
		return fs_error(req, EINVAL,
				"entries of %s maps cannot be deleted: write 0 to them",
				bpf_map_type_name(map->map_type));
	return ret < 0 ? ret : TEXT_COMPLETE;
}

/*
 * `key value`, `key cpuN value` or `clear`; empty lines and comments say nothing. TEXT_INCOMPLETE:
 * the line may go on.
 */
static int parse_line(struct dump *d, struct fs_req *req, const char *line, size_t len)
{
	size_t pos = 0, n, k;
	const char *word;
	u64 cpu = 0;
	int on_cpu = -1, ret;

	if (!text_next_word(line, len, &pos, &word, &n) || word[0] == '#')
		return TEXT_COMPLETE;
	if (n <= 5 && !memcmp(word, "clear", n) && is_blank(line + pos, len - pos))
		return n == 5 ? clear(d, req) : TEXT_INCOMPLETE;
	if (d->map->map_type == BPF_MAP_TYPE_STACK_TRACE) /* as in Linux */
		return fs_error(req, EINVAL, "only programs put stacks in, by bpf_get_stackid()");
	if (!d->map->key_size) /* pushed in the order of the lines */
		return entries_write(req, d->map, NULL, -1, line, len, BPF_ANY);
	if (key_parse(d->map, d->form, word, n, d->key))
		return fs_error(req, EINVAL, "\"%.*s\" is no key of this map",
				(int)min(n, (size_t)64), word);
	if (entries_percpu(d->map)) {
		k = pos;
		/* "c", "cp", "cpu": the rest of the line is still to come. */
		if (!text_next_word(line, len, &k, &word, &n) ||
		    (n <= 3 && k == len && !memcmp(word, "cpu", n)))
			return TEXT_INCOMPLETE;
		if (n > 3 && !memcmp(word, "cpu", 3)) {
			if (text_parse_u64(word + 3, n - 3, bpf_nr_slots() - 1, &cpu) !=
			    TEXT_COMPLETE)
				return fs_error(req, EINVAL, "no such CPU: %.*s", (int)n, word);
			on_cpu = cpu;
			pos = k;
		}
	}
	ret = entries_write(req, d->map, d->key, on_cpu, line + pos, len - pos, BPF_ANY);
	return ret;
}

/* What is wrong with a line is said with its number and its text, which begins with the key. */
static int write_line(struct dump *d, struct fs_req *req, const char *line, size_t len, bool ended)
{
	int ret = parse_line(d, req, line, len);
	char about[160];

	if (ret == TEXT_INCOMPLETE && ended)
		ret = fs_error(req, EINVAL, "it is not complete: a line is a key and its value");
	if (ret >= 0 || ret == -EINTR || req->quiet)
		return ret;
	snprintf(about, sizeof(about), "line %llu (%.*s%s)", (unsigned long long)d->line + 1,
		 min(text_first_line(line, len), 100), line,
		 text_first_line(line, len) > 100 ? "..." : "");
	error_about(&req->error, ret, about);
	return ret;
}

/*
 * What follows the last newline. A keyless map's value is used up by acting: it would be there
 * twice.
 */
static int write_tail(struct dump *d, struct fs_req *req)
{
	int ret = write_line(d, req, d->buffer.buf, d->buffer.len, false);

	d->incomplete = ret == TEXT_INCOMPLETE;
	if (ret < 0 || (ret == TEXT_COMPLETE && !d->map->key_size &&
			!is_comment(d->buffer.buf, d->buffer.len)))
		write_buffer_drop(&d->buffer, d->buffer.len);
	return ret;
}

/*
 * Whole lines act at once and are used up. What follows the last newline acts too when it is a
 * whole entry already (an error that only close gives is lost on shells), and again if it goes on;
 * but not when the write ended because a buffer was full: then the next write goes on, or, when
 * there is none, it acts at the end.
 */
static ssize_t dump_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	struct dump *d = open->priv;
	size_t pos = 0, n;
	const char *line;
	int ret;

	ret = fs_open_buffer(open, req, &d->buffer, buf, len, off, open->flags & O_APPEND,
			     MAX_LINE);
	if (!off && !(open->flags & O_APPEND))
		d->line = 0;
	while (ret >= 0 && text_next_line(d->buffer.buf, d->buffer.len, false, &pos, &line, &n)) {
		if (fs_cancelled(req))
			ret = -EINTR;
		else
			ret = write_line(d, req, line, n, true);
		d->line++;
	}
	write_buffer_drop(&d->buffer, ret < 0 ? d->buffer.len : pos);
	d->incomplete = d->held = false;
	if (ret >= 0 && !write_buffer_blank(&d->buffer)) {
		d->held = write_buffer_cut(len) && text_number_size(d->map->value_size);
		if (!d->held)
			ret = write_tail(d, req);
	}
	return ret < 0 ? ret : (ssize_t)len;
}

static int dump_flush(struct fs_open *open, struct fs_req *req)
{
	struct dump *d = open->priv;
	int ret;

	if (d->held) { /* nothing came behind the full buffer, so far */
		d->held = false;
		ret = write_tail(d, req);
		if (ret < 0)
			return ret;
	}
	if (d->incomplete && !write_buffer_blank(&d->buffer))
		return fs_error(req, EINVAL, "the last line is not complete");
	return 0;
}

static void dump_release(struct fs_open *open)
{
	struct dump *d = open->priv;

	if (!d)
		return;
	bpf_map_iter_end(&d->it);
	bpf_map_put(d->map);
	fs_text_free(&d->text);
	write_buffer_free(&d->buffer);
	write_buffer_free(&d->json.buffer);
	free(d->key);
	free(d->value);
	free(d);
}

/* ---- sizes: counted while that is little work, else what no line is longer than */

#define COUNT_WORK    (4u << 20) /* bytes, and steps between them: types may fan out */
#define COUNT_ENTRIES 65536
#define NUMBER_ROOM   32 /* for a CPU's number, and a value's */
#define JSON_ROOM     16 /* numbers, names and brackets for a byte of a value */

static u64 size_bound(const struct bpf_map *map, u64 entries, bool json)
{
	u64 key = map->key_size, value = bpf_map_value_size(map);
	u64 lines = entries_percpu(map) ? bpf_nr_slots() : 1;

	if (!json && text_number_size(map->value_size) && !entries_slots(map))
		return entries * lines * (3 * key + 40 + NUMBER_ROOM);
	if (json)
		return (entries + 1) * (64 * (lines + 1) + (key + value) * JSON_ROOM);
	return entries * (lines * max(3 * key + 40, (u64)NAME_MAX + 1) + 3 * value + 40 * lines);
}

/* Of lines whose values are all as long as each other only the keys are printed. */
static void print_line_key(struct dump *d)
{
	print_key(d, &d->text);
}

static const struct format key_format = {.print = print_line_key};

static bool lines_by_keys(const struct bpf_map *map)
{
	return map->key_size && !text_number_size(map->value_size) && !entries_slots(map) &&
	       map->map_type != BPF_MAP_TYPE_STACK_TRACE;
}

/* What stands in the lines of an entry behind the key, which is printed `lines` times. */
static u64 bytes_behind_key(const struct bpf_map *map, u64 *lines)
{
	u64 value = 3 * (u64)map->value_size; /* two digits, and a blank or the newline */

	*lines = entries_percpu(map) ? bpf_nr_slots() : 1;
	if (entries_percpu(map))
		for (u64 cpu = 0; cpu < *lines; cpu++)
			value += !!cpu * 3 * (u64)map->value_size +
				 (u64)snprintf(NULL, 0, "cpu%llu ", (unsigned long long)cpu);
	return value;
}

static u64 counted_size(struct fs_node *node, struct fs_req *req, const struct format *format)
{
	struct dump d = {0};
	u64 size = 0, printed = 0, largest = 0, lines = 1, behind = 0, entries;
	struct bpf_map_stats stats;
	bool by_keys;
	int err = 0;

	if (store_map(node, req, &d.map))
		return 0;
	by_keys = format == &line_format && lines_by_keys(d.map);
	if (by_keys) {
		format = &key_format;
		behind = bytes_behind_key(d.map, &lines);
	}
	err = key_form_of(node, d.map, &d.form);
	bpf_map_stats_read(d.map, &stats);
	d.key = malloc(d.map->key_size + 8);
	d.value = by_keys ? NULL : malloc(bpf_map_value_size(d.map) + 8);
	bpf_map_iter_init(&d.it, d.map, by_keys);
	d.it.flags = bpf_map_lock_flag(d.map);
	d.text.cancel = &req->cancel;
	d.text.most_work = COUNT_WORK;
	if (!d.key || (!by_keys && (!d.value || (u64)bpf_map_value_size(d.map) > COUNT_WORK)))
		err = -EFBIG;
	while (!err && !d.ended) {
		d.text.len = 0;
		err = stream_next(&d, format);
		printed += d.text.len;
		largest = max(largest, (u64)d.text.len);
		if (d.given > COUNT_ENTRIES)
			err = -EFBIG;
	}
	size = printed * lines + d.given * behind;
	if (err == -EFBIG) {
		entries = max(stats.entries, d.given);
		size = size_bound(d.map, entries, format == &json_format);
		size = max(size, 2 * largest * entries); /* what types make of a value */
	}
	bpf_map_iter_end(&d.it);
	fs_text_free(&d.text);
	free(d.key);
	free(d.value);
	bpf_map_put(d.map);
	return size;
}

static u64 dump_size(struct fs_node *node, struct fs_req *req)
{
	return counted_size(node, req, &line_format);
}

static u64 json_size(struct fs_node *node, struct fs_req *req)
{
	return counted_size(node, req, &json_format);
}

/* Records have one size. */
static u64 raw_size(struct fs_node *node, struct fs_req *req)
{
	struct bpf_map_stats stats;
	struct bpf_map *map;
	u64 size;

	if (store_map(node, req, &map))
		return 0;
	bpf_map_stats_read(map, &stats);
	size = round_up(map->key_size, 8) + (u64)round_up(bpf_map_value_size(map), 8);
	size *= map->values ? map->max_entries : stats.entries;
	bpf_map_put(map);
	return size;
}

const struct fs_node_ops dump_ops = {
	.name = "dump",
	.type = S_IFREG,
	.slow = true,
	.size = dump_size,
	.open = dump_open,
	.read = dump_read,
	.write = dump_write,
	.flush = dump_flush,
	.release = dump_release,
	.keep = dump_keep,
	.restore = dump_restore,
};

const struct fs_node_ops json_ops = {
	.name = "dump.json",
	.type = S_IFREG,
	.slow = true,
	.size = json_size,
	.open = dump_open,
	.read = json_read,
	.write = json_file_write,
	.flush = json_flush,
	.release = dump_release,
	.keep = dump_keep,
	.restore = dump_restore,
};

const struct fs_node_ops raw_ops = {
	.name = "raw",
	.type = S_IFREG,
	.slow = true,
	.size = raw_size,
	.open = dump_open,
	.read = raw_read,
	.release = dump_release,
	.keep = dump_keep,
	.restore = dump_restore,
};
