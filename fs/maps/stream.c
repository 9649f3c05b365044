/*
 * stream.c - maps without keys from the shell (see maps/stream.h)
 *
 *	echo 17 > maps/q/push         each line is pushed
 *	cat maps/q/pop                takes one value; waits while there is none
 *	cat maps/q/peek               the value that pop would take
 *	echo 17 > maps/bloom/has      succeeds when the filter may hold it, else ENOENT
 *	cat maps/ring/records         each record as a line of hexadecimal bytes, as they come; of a
 *	                              perf_event_array `cpuN` and the bytes, and `cpuN lost N`
 *
 * A value or record goes to one reader. Who reads in small pieces gets the rest of its line from
 * the open file. With O_NONBLOCK waiting is EAGAIN, so that grep -r and cp -r end.
 */
#include <fcntl.h>
#include <poll.h>
#include "core/map.h"
#include "fs/maps/text/entries.h"
#include "fs/keeper/records.h"
#include "fs/lib/write_buffer.h"
#include "fs/caller/caller.h"
#include "fs/maps/stream.h"
#include "fs/store/objects/object.h"
#include "fs/store/node_object.h"
#include "fs/store/once.h"
#include "text/value_text.h"
#include "map/ring/perf_event_array.h"
#include "map/ring/ringbuf.h"
#include "map/syscall.h"

#define MAX_VALUE_TEXT (64u << 20)

/* All who wait for a value or a record: fs_wake() is cheap while there is nobody. */
static struct fs_waitq records_waitq = FS_WAITQ_INIT;

static void map_notified(struct bpf_map *map)
{
	fs_wake(&records_waitq);
}

void stream_watch(struct fs_open *open)
{
	open->waitq = &records_waitq;
	__atomic_store_n(&bpf_map_notify, map_notified, __ATOMIC_RELEASE);
}

struct records {
	struct bpf_map *map;
	struct fs_text line; /* taken from the map and not yet read */
	size_t given;
	bool taken; /* pop gives one value an open */
	struct bpf_perf_record record; /* room for one */
	bool perf; /* a perf_event_array, opened */
	struct write_buffer buffer;
	bool held; /* push: the last line came at the end of a full buffer */
	struct map_once once; /* of the request that is at work */
};

static int records_open(struct fs_open *open, struct fs_req *req)
{
	struct records *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	err = store_map(open->node, req, &r->map);
	if (err) {
		free(r);
		return err;
	}
	err = entries_prepare(open, req, r->map);
	if (err) {
		bpf_map_put(r->map);
		free(r);
		return err;
	}
	open->priv = r;
	stream_watch(open);
	return 0;
}

/* Who takes a value or a record out changes the map, though it is done by reading. */
static int take_open(struct fs_open *open, struct fs_req *req)
{
	struct store_object *obj;
	struct stat st;
	int err = store_of_node(open->node, &obj);

	if (err)
		return err;
	err = store_stat(obj, &st);
	if (!err && !req->again)
		err = perm_check(&req->cred, &st, W_OK);
	store_put(obj);
	if (err == -EACCES)
		return fs_error(
			req, EACCES,
			"what is read here is taken out of the map: that asks for the right to "
			"write it (peek and dump only look)");
	return err ? err : records_open(open, req);
}

static void records_release(struct fs_open *open)
{
	struct records *r = open->priv;

	if (!r)
		return;
	if (r->perf)
		bpf_perf_close(r->map);
	bpf_map_put(r->map);
	fs_text_free(&r->line);
	write_buffer_free(&r->buffer);
	free(r->record.data);
	free(r);
}

/* What of the line is left, or 0. */
static ssize_t give(struct records *r, char *buf, size_t len)
{
	if (r->line.err)
		return r->line.err;
	len = min(len, r->line.len - r->given);
	if (len)
		memcpy(buf, r->line.buf + r->given, len);
	r->given += len;
	if (r->given == r->line.len)
		r->given = r->line.len = 0;
	return (ssize_t)len;
}

/* What was taken out and not read by then waits in words of its own. */
#define KEPT_BUFFER 2
#define KEPT_LINE   (KEPT_BUFFER + WRITE_BUFFER_WORDS)

static void records_keep(struct fs_open *open, struct kept *kept)
{
	const struct records *r = open->priv;
	size_t left = r->line.len - r->given, room = (KEPT_WORDS - KEPT_LINE) * sizeof(u64);

	kept->v[0] = (u64)r->taken | (u64)r->held << 1;
	kept->v[1] = min(left, room);
	kept->lost = left > room;
	if (left)
		memcpy(kept->v + KEPT_LINE, r->line.buf + r->given, kept->v[1]);
	fs_buffer_keep(&r->buffer, kept, KEPT_BUFFER);
}

static void records_restore(struct fs_open *open, const struct kept *kept)
{
	struct records *r = open->priv;
	size_t room = (KEPT_WORDS - KEPT_LINE) * sizeof(u64);

	r->taken = kept->v[0] & 1;
	r->held = kept->v[0] & 2;
	fs_text_append(&r->line, (const char *)(kept->v + KEPT_LINE), min(kept->v[1], room));
	fs_buffer_restore(open, &r->buffer, kept, KEPT_BUFFER);
}

/* ---- push */

static int push_line(struct records *r, struct fs_req *req, const char *line, size_t len)
{
	size_t pos = 0, n;
	const char *word;
	const void *data;
	u32 noted;
	int ret;

	if (!text_next_word(line, len, &pos, &word, &n))
		return TEXT_COMPLETE;
	ret = map_once_before(&r->once, &data, &noted);
	if (ret)
		return ret < 0 ? ret : TEXT_COMPLETE;
	map_once_note(&r->once);
	ret = entries_write(req, r->map, NULL, -1, line, len, BPF_ANY);
	map_once_end();
	return ret;
}

/*
 * Whole lines act and are used up; the last one acts when its value is whole, newline or not. At
 * the end of a full buffer nobody knows whether it is whole: it waits for the next write, or for
 * the close.
 */
static ssize_t push_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	struct records *r = open->priv;
	struct write_buffer *p = &r->buffer;
	size_t pos = 0, n;
	const char *line;
	int ret;

	map_once_begin(&r->once, r->map, req);
	ret = fs_open_buffer(open, req, p, buf, len, off, true, MAX_VALUE_TEXT);
	while (ret >= 0 && text_next_line(p->buf, p->len, false, &pos, &line, &n)) {
		ret = push_line(r, req, line, n);
		if (ret == TEXT_INCOMPLETE)
			ret = fs_error(req, EINVAL, "a line here is one value of %u bytes",
				       r->map->value_size);
	}
	write_buffer_drop(p, ret < 0 ? p->len : pos);
	r->held = ret >= 0 && !write_buffer_blank(p) && write_buffer_cut(len) &&
		  text_number_size(r->map->value_size);
	if (ret >= 0 && !write_buffer_blank(p) && !r->held) {
		ret = push_line(r, req, p->buf, p->len);
		if (ret)
			write_buffer_drop(p, p->len);
	}
	return ret < 0 ? ret : (ssize_t)len;
}

/* A line that waited behind a full buffer is pushed by the first close: its error has a caller. */
static int push_flush(struct fs_open *open, struct fs_req *req)
{
	struct records *r = open->priv;
	int ret = TEXT_INCOMPLETE;

	if (write_buffer_blank(&r->buffer))
		return 0;
	if (r->held) {
		map_once_begin(&r->once, r->map, req);
		r->held = false;
		ret = push_line(r, req, r->buffer.buf, r->buffer.len);
		write_buffer_drop(&r->buffer, r->buffer.len);
	}
	if (ret == TEXT_INCOMPLETE)
		return fs_error(req, EINVAL, "the value is not complete: it was not pushed");
	return ret < 0 ? ret : 0;
}

const struct fs_node_ops push_ops = {
	.name = "push",
	.type = S_IFREG,
	.open = records_open,
	.write = push_write,
	.flush = push_flush,
	.release = records_release,
	.keep = records_keep,
	.restore = records_restore,
};

/* ---- pop, peek */

/* Puts the next value into the line. 0, or -ENOENT. */
static int take_value(struct records *r, struct fs_req *req, bool remove)
{
	char *value = malloc(r->map->value_size + 1);
	int err = -ENOMEM;

	map_once_begin(&r->once, r->map, req);
	if (value)
		err = remove ? map_once_pop(&r->once, r->map, value, 0)
			     : bpf_map_lookup(r->map, NULL, value, 0);
	if (!err)
		entries_print(r->map, NULL, value, "", &r->line);
	free(value);
	return err;
}

static ssize_t pop_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	struct records *r = open->priv;
	int err;

	if (!len)
		return 0;
	if (!r->taken) {
		err = take_value(r, req, true);
		if (err == -ENOENT)
			return -EAGAIN;
		if (err == -EPERM)
			return fs_error(req, EPERM, "the map is frozen or not for reading");
		if (err)
			return err;
		r->taken = true;
	}
	return give(r, buf, len);
}

static u32 pop_poll(struct fs_open *open)
{
	struct records *r = open->priv;
	struct bpf_map_stats stats;

	if (r->taken)
		return POLLIN | POLLRDNORM;
	bpf_map_stats_read(r->map, &stats);
	return stats.entries ? POLLIN | POLLRDNORM : 0;
}

const struct fs_node_ops pop_ops = {
	.name = "pop",
	.type = S_IFREG,
	.open = take_open,
	.read = pop_read,
	.takes = true,
	.poll = pop_poll,
	.release = records_release,
	.keep = records_keep,
	.restore = records_restore,
};

static int peek_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct records r = {0};
	int err = store_map(node, req, &r.map);

	if (err)
		return err;
	err = take_value(&r, req, false);
	if (err == -ENOENT)
		fs_error(req, ENOENT, "the %s is empty: `cat pop` waits for the next value",
			 bpf_map_type_name(r.map->map_type));
	if (!err)
		fs_text_append(out, r.line.buf, r.line.len);
	fs_text_free(&r.line);
	bpf_map_put(r.map);
	return err;
}

static int peek_open(struct fs_open *open, struct fs_req *req)
{
	struct bpf_map *map;
	int err = store_map(open->node, req, &map);

	if (err)
		return err;
	err = entries_prepare(open, req, map);
	bpf_map_put(map);
	return err;
}

const struct fs_node_ops peek_ops = {
	.name = "peek",
	.type = S_IFREG,
	.open = peek_open,
	.show = peek_show,
};

/* ---- has: the write is the question, its error the answer */

static ssize_t has_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			 off_t off)
{
	struct records *r = open->priv;
	struct write_buffer *p = &r->buffer;
	char *value;
	int ret;

	if (!len)
		return 0;
	ret = fs_open_buffer(open, req, p, buf, len, off, true, MAX_VALUE_TEXT);
	if (ret)
		return ret;
	if (write_buffer_blank(p)) {
		write_buffer_drop(p, p->len);
		return (ssize_t)len;
	}
	value = calloc(1, r->map->value_size);
	ret = value ? text_parse_value(p->buf, p->len, value, r->map->value_size) : -ENOMEM;
	if (ret == TEXT_COMPLETE) {
		ret = bpf_map_lookup(r->map, NULL, value, 0);
		if (ret == -ENOENT)
			fs_error(req, ENOENT, "the filter surely does not hold it");
	} else if (ret == -EINVAL || ret == -ERANGE) {
		fs_error(req, -ret, "a value here is of %u bytes", r->map->value_size);
	} else if (ret == TEXT_INCOMPLETE && !write_buffer_ended(p, len, false)) {
		free(value);
		return (ssize_t)len;
	} else if (ret == TEXT_INCOMPLETE) {
		ret = fs_error(req, EINVAL, "a value here is of %u bytes", r->map->value_size);
	}
	free(value);
	write_buffer_drop(p, p->len);
	return ret ? ret : (ssize_t)len;
}

const struct fs_node_ops has_ops = {
	.name = "has",
	.type = S_IFREG,
	.open = records_open,
	.write = has_write,
	.flush = push_flush,
	.release = records_release,
	.keep = records_keep,
	.restore = records_restore,
};

/* ---- records */

static void print_record(struct fs_text *out, const u8 *data, size_t len)
{
	fs_text_hex(out, data, len, " ");
	fs_text_append(out, "\n", 1);
}

/* One record into the line. 0, -EAGAIN, or another error. */
static int take_record(struct records *r)
{
	struct bpf_perf_record *record = &r->record;
	const void *noted;
	u32 noted_len;
	s64 len;
	int err;

	if (r->perf) {
		err = bpf_perf_read(r->map, record);
		if (err)
			return err;
		if (record->lost)
			fs_text_printf(&r->line, "cpu%u lost %llu\n", record->cpu,
				       (unsigned long long)record->lost);
		if (record->len || !record->lost) {
			fs_text_printf(&r->line, "cpu%u ", record->cpu);
			print_record(&r->line, record->data, record->len);
		}
		return 0;
	}
	err = map_once_before(&r->once, &noted, &noted_len);
	if (err > 0)
		print_record(&r->line, noted, noted_len);
	if (err)
		return min(err, 0);
	map_once_note(&r->once);
	len = bpf_ringbuf_read(r->map, &record->data, &record->cap);
	map_once_end();
	if (len < 0)
		return (int)len;
	if (bpf_map_changed)
		bpf_map_changed(r->map);
	print_record(&r->line, record->data, (size_t)len);
	return 0;
}

/* Reading a perf_event_array opens its events: records are kept from now on. */
static int stream_open(struct fs_open *open, struct fs_req *req)
{
	int err = take_open(open, req);
	struct records *r = open->priv;

	if (err || r->map->map_type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return err;
	err = fs_open_hold(open, bpf_perf_bytes(r->map), fs_why(req));
	if (!err)
		err = bpf_perf_open(r->map);
	r->perf = !err;
	if (err) {
		records_release(open);
		open->priv = NULL;
	}
	return err;
}

static ssize_t records_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len,
			    off_t off)
{
	struct records *r = open->priv;
	ssize_t done = 0, n;
	int err;

	map_once_begin(&r->once, r->map, req);
	/* As many lines as there are: a reader that is slow does not need a call a record. */
	while ((size_t)done < len) {
		if (!r->line.len) {
			err = take_record(r);
			if (err == -EBADMSG)
				fs_error(req, EBADMSG,
					 "who maps the ring wrote nonsense into it: what waited "
					 "there was dropped");
			if (err)
				return done ? done : err;
		}
		n = give(r, buf + done, len - done);
		if (n < 0)
			return done ? done : n;
		done += n;
	}
	return done;
}

static u32 records_poll(struct fs_open *open)
{
	struct records *r = open->priv;
	bool more;

	pthread_mutex_lock(&open->lock);
	more = r->line.len || (r->perf ? bpf_perf_readable(r->map) : bpf_ringbuf_readable(r->map));
	pthread_mutex_unlock(&open->lock);
	return more ? POLLIN | POLLRDNORM : 0;
}

const struct fs_node_ops records_ops = {
	.name = "records",
	.type = S_IFREG,
	.open = stream_open,
	.read = records_read,
	.takes = true,
	.poll = records_poll,
	.release = records_release,
	.keep = records_keep,
	.restore = records_restore,
};
