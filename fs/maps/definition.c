/*
 * definition.c - a map's definition while its attributes are written one by one (see
 * maps/definition.h)
 */
#include <stdio.h>
#include "fs/maps/definition.h"
#include "text/value_text.h"
#include "fs/store/state/state_file.h"
#include "map/create.h"

static const char *const names[MAPDEF_NR] = {"type",	    "key_size",	 "value_size",
					     "max_entries", "map_flags", "inner_map"};

/* Sizes that a type fixes; -1: the user says. */
static const struct {
	enum bpf_map_type type;
	int key_size, value_size, max_entries;
} fixed[] = {
	{BPF_MAP_TYPE_ARRAY, 4, -1, -1},	  {BPF_MAP_TYPE_PERCPU_ARRAY, 4, -1, -1},
	{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, -1},	  {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, -1},
	{BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, -1},	  {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, -1},
	{BPF_MAP_TYPE_HASH_OF_MAPS, -1, 4, -1},	  {BPF_MAP_TYPE_STACK_TRACE, 4, -1, -1},
	{BPF_MAP_TYPE_QUEUE, 0, -1, -1},	  {BPF_MAP_TYPE_STACK, 0, -1, -1},
	{BPF_MAP_TYPE_BLOOM_FILTER, 0, -1, -1},	  {BPF_MAP_TYPE_RINGBUF, 0, 0, -1},
	{BPF_MAP_TYPE_XSKMAP, 4, 4, -1},	  {BPF_MAP_TYPE_DEVMAP, 4, -1, -1},
	{BPF_MAP_TYPE_DEVMAP_HASH, 4, -1, -1},	  {BPF_MAP_TYPE_CPUMAP, 4, -1, -1},
	{BPF_MAP_TYPE_CGROUP_STORAGE, -1, -1, 0}, {BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, -1, -1, 0},
};

const char *mapdef_name(enum mapdef_attr attr)
{
	return names[attr];
}

int mapdef_parse(enum mapdef_attr attr, const char *s, size_t len, u32 *value)
{
	char name[32];
	u64 number;
	size_t pos = 0, n;
	const char *word;
	int type;

	if (attr != MAPDEF_TYPE) {
		int ret = text_parse_u64(s, len, UINT32_MAX, &number);

		if (ret == TEXT_COMPLETE)
			*value = number;
		return ret;
	}
	if (!text_next_word(s, len, &pos, &word, &n))
		return TEXT_INCOMPLETE;
	if (n >= sizeof(name) || memchr(word, 0, n))
		return -EINVAL;
	memcpy(name, word, n);
	name[n] = 0;
	if (text_next_word(s, len, &pos, &word, &n))
		return -EINVAL;
	type = bpf_map_type_by_name(name);
	if (type >= 0) {
		*value = type;
		return bpf_map_ops_find(type) ? TEXT_COMPLETE : -EOPNOTSUPP;
	}
	/* The beginning of a name, when a write was split inside it. */
	for (type = 1; s[len - 1] != '\n' && type < 64; type++) {
		const char *known = bpf_map_type_name(type);

		if (known && !strncmp(known, name, strlen(name)))
			return TEXT_INCOMPLETE;
	}
	return -EINVAL;
}

void mapdef_print(enum mapdef_attr attr, u32 value, struct fs_text *out)
{
	if (attr == MAPDEF_TYPE)
		fs_text_printf(out, "%s\n", bpf_map_type_name(value));
	else if (attr == MAPDEF_FLAGS)
		fs_text_printf(out, "0x%x\n", value);
	else
		fs_text_printf(out, "%u\n", value);
}

int mapdef_read(int dirfd, struct mapdef *def)
{
	const char *line, *word;
	size_t pos = 0, n, k, w;
	char *text = NULL;
	ssize_t len;
	int attr;

	memset(def, 0, sizeof(*def));
	len = tree_read_small(dirfd, MAPDEF_FILE, &text);
	if (len < 0)
		return len == -ENOENT ? 0 : len;
	while (text_next_line(text, len, true, &pos, &line, &n)) {
		k = 0;
		if (!text_next_word(line, n, &k, &word, &w))
			continue;
		for (attr = 0; attr < MAPDEF_NR; attr++)
			if (w == strlen(names[attr]) + 1 && !memcmp(word, names[attr], w - 1))
				def->set[attr] = mapdef_parse(attr, line + k, n - k,
							      &def->value[attr]) == TEXT_COMPLETE;
	}
	free(text);
	return 0;
}

int mapdef_write(int dirfd, const struct mapdef *def, struct error_record *why)
{
	struct fs_text text = {0};
	int attr, err;

	for (attr = 0; attr < MAPDEF_NR; attr++) {
		if (!def->set[attr])
			continue;
		fs_text_printf(&text, "%s: ", names[attr]);
		mapdef_print(attr, def->value[attr], &text);
	}
	err = text.err ? text.err
		       : tree_write_small(dirfd, MAPDEF_FILE, text.buf ? text.buf : "", text.len,
					  why);
	fs_text_free(&text);
	return err;
}

/* One size: what was written, else what the type knows. */
static bool size_of(const struct mapdef *def, enum mapdef_attr attr, int known, u32 *out)
{
	if (!def->set[attr] && known < 0)
		return false;
	*out = def->set[attr] ? def->value[attr] : (u32)known;
	return true;
}

static size_t fixed_row(u32 type)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fixed) && fixed[i].type != type; i++)
		;
	return i;
}

bool mapdef_holds_maps(u32 type)
{
	return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

int mapdef_check(const struct bpf_map_spec *spec, struct error_record *why)
{
	const char *rule;
	int err = bpf_map_spec_check(spec, &rule);

	if (!err)
		return 0;
	return error_set(why, -err,
			 "a %s map cannot have key_size %u, value_size %u, max_entries %u, "
			 "map_flags 0x%x: %s",
			 bpf_map_type_name(spec->map_type) ?: "(unknown)", spec->key_size,
			 spec->value_size, spec->max_entries, spec->map_flags, rule);
}

bool mapdef_complete(const struct mapdef *def, struct bpf_map_spec *spec)
{
	size_t i = fixed_row(def->value[MAPDEF_TYPE]);
	bool known = i < ARRAY_SIZE(fixed);

	if (!def->set[MAPDEF_TYPE])
		return false;
	memset(spec, 0, sizeof(*spec));
	spec->map_type = def->value[MAPDEF_TYPE];
	spec->map_flags = def->set[MAPDEF_FLAGS] ? def->value[MAPDEF_FLAGS] : 0;
	if (mapdef_holds_maps(spec->map_type)) {
		if (!def->set[MAPDEF_INNER])
			return false;
		spec->inner_map_id = def->value[MAPDEF_INNER];
	}
	return size_of(def, MAPDEF_KEY_SIZE, known ? fixed[i].key_size : -1, &spec->key_size) &&
	       size_of(def, MAPDEF_VALUE_SIZE, known ? fixed[i].value_size : -1,
		       &spec->value_size) &&
	       size_of(def, MAPDEF_MAX_ENTRIES, known ? fixed[i].max_entries : -1,
		       &spec->max_entries);
}
