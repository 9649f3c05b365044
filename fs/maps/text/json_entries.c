/*
 * json_entries.c - see json_entries.h
 */
#include <fcntl.h>
#include <stdio.h>
#include "run/run.h"
#include "map/syscall.h"
#include "text/value_text.h"
#include "fs/maps/text/entries.h"
#include "text/json_parse.h"
#include "fs/maps/text/json_entries.h"

#define MIN_ENTRY    (1u << 20)
#define ENTRY_A_BYTE 64 /* as json_print.c's own bound, nearly */

static int put_value(struct fs_req *req, struct bpf_map *map, const void *key, int cpu,
		     const char *s, size_t n)
{
	char number[24];
	u64 v = 0;
	int ret;

	/* Without types, and of slots, the file's own number is what is meant. */
	if (entries_slots(map)) {
		ret = json_parse(s, n, NULL, 0, &v, NULL, sizeof(v), fs_why(req));
		if (ret) {
			error_about(fs_why(req), ret, "value");
			return ret;
		}
		n = (size_t)snprintf(number, sizeof(number), "%llu\n", (unsigned long long)v);
		return entries_write(req, map, key, cpu, number, n, BPF_ANY);
	}
	ret = entries_write_json(req, map, key, cpu, s, n);
	return ret == TEXT_INCOMPLETE ? -EINVAL : ret;
}

/* [{"cpu":N,"value":V},...] */
static int put_percpu(struct fs_req *req, struct bpf_map *map, const void *key, const char *list,
		      size_t len)
{
	const char *elem, *part;
	size_t pos = 0, n, k;
	int ret = TEXT_COMPLETE;

	while (ret == TEXT_COMPLETE && json_element(list, len, &pos, &elem, &n)) {
		u32 cpu;

		if (!json_member(elem, n, "cpu", &part, &k) ||
		    json_parse(part, k, NULL, 0, &cpu, NULL, sizeof(cpu), NULL))
			return fs_error(req, EINVAL, "an element of \"values\" has no \"cpu\"");
		if (cpu >= bpf_nr_slots())
			return fs_error(req, EINVAL, "there is no CPU %u here", cpu);
		if (!json_member(elem, n, "value", &part, &k))
			return fs_error(req, EINVAL, "an element of \"values\" has no \"value\"");
		ret = put_value(req, map, key, (int)cpu, part, k);
	}
	return ret;
}

static int put_entry(struct fs_req *req, struct bpf_map *map, char *key, const char *s, size_t len)
{
	const char *part;
	size_t n;
	int ret;

	if (map->map_type == BPF_MAP_TYPE_STACK_TRACE) /* as in Linux */
		return fs_error(req, EINVAL, "only programs put stacks in, by bpf_get_stackid()");
	if (map->key_size) {
		if (!json_member(s, len, "key", &part, &n))
			return fs_error(req, EINVAL, "it has no \"key\"");
		memset(key, 0, map->key_size);
		ret = json_parse(part, n, map->btf, map->btf_key_type_id, key, NULL, map->key_size,
				 fs_why(req));
		if (ret) {
			error_about(fs_why(req), ret, "key");
			return ret;
		}
	}
	if (entries_percpu(map) && json_member(s, len, "values", &part, &n))
		return put_percpu(req, map, key, part, n);
	if (!json_member(s, len, "value", &part, &n))
		return fs_error(req, EINVAL, "it has no \"value\"");
	return put_value(req, map, map->key_size ? key : NULL, -1, part, n);
}

/* 1: something was used up; 0: more has to come. */
static int next(struct json_entries *w, struct fs_req *req, struct bpf_map *map, char *key,
		size_t *pos)
{
	const char *s = w->buffer.buf;
	size_t len = w->buffer.len;
	char about[160];
	ssize_t n;
	int ret;

	while (*pos < len && text_is_blank(s[*pos]))
		++*pos;
	if (*pos == len)
		return 0;
	if (!w->listed && !w->entries && s[*pos] == '[') {
		w->listed = true;
		return ++*pos, 1;
	}
	if (w->entries && s[*pos] == ',' && !w->ended)
		return ++*pos, 1;
	if (w->listed && s[*pos] == ']' && !w->ended) {
		w->ended = true;
		return ++*pos, 1;
	}
	if (s[*pos] != '{' || w->ended)
		return fs_error(req, EINVAL,
				"entry %llu: {\"key\":...,\"value\":...} belongs here, as "
				"dump.json shows it",
				(unsigned long long)w->entries + 1);
	n = json_extent(s + *pos, len - *pos);
	if (n <= 0)
		return (int)n;
	ret = put_entry(req, map, key, s + *pos, (size_t)n);
	if (ret < 0 && ret != -EINTR) {
		snprintf(about, sizeof(about), "entry %llu (%.*s%s)",
			 (unsigned long long)w->entries + 1,
			 min(text_first_line(s + *pos, (size_t)n), 100), s + *pos,
			 n > 100 ? "..." : "");
		error_about(&req->error, ret, about);
	}
	w->entries++;
	*pos += (size_t)n;
	return ret < 0 ? ret : 1;
}

ssize_t json_entries_write(struct json_entries *w, struct fs_open *open, struct fs_req *req,
			   struct bpf_map *map, char *key, const char *buf, size_t len, off_t off)
{
	size_t most = MIN_ENTRY + ENTRY_A_BYTE * ((size_t)map->key_size + bpf_map_value_size(map));
	size_t pos = 0;
	int ret;

	if (!off && !(open->flags & O_APPEND)) {
		w->listed = w->ended = false;
		w->entries = 0;
	}
	ret = fs_open_buffer(open, req, &w->buffer, buf, len, off, open->flags & O_APPEND, most);
	while (!ret && !fs_cancelled(req) && (ret = next(w, req, map, key, &pos)) > 0)
		ret = 0;
	if (!ret && fs_cancelled(req))
		ret = -EINTR;
	write_buffer_drop(&w->buffer, ret < 0 ? w->buffer.len : pos);
	if (ret < 0)
		w->listed = false;
	return ret < 0 ? ret : (ssize_t)len;
}

int json_entries_flush(struct json_entries *w, struct fs_req *req)
{
	if (write_buffer_blank(&w->buffer) && (!w->listed || w->ended))
		return 0;
	return fs_error(req, EINVAL, "entry %llu is not complete, or the list does not end with ]",
			(unsigned long long)w->entries + 1);
}
