/*
 * info.c - see info.h
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/objects/info.h"
#include "uapi/ubpffs_client.h"
#include "util/types.h"

static int add_name(void *ctx, const char *dir, const char *name, unsigned int id)
{
	struct names *names = ctx;
	struct named *list = realloc(names->list, (names->nr + 1) * sizeof(*list));

	if (!list)
		return -1;
	names->list = list;
	list[names->nr] = (struct named){id, strdup(name), strdup(dir)};
	if (!list[names->nr].name || !list[names->nr].dir)
		return -1;
	names->nr++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

int names_get(enum ubpffs_kind kind, struct names *names)
{
	int ret;

	*names = (struct names){.kind = kind};
	ret = object_each_name(kind, add_name, names);
	if (names->nr)
		qsort(names->list, names->nr, sizeof(*names->list), by_name);
	return ret;
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->nr; i++) {
		free(names->list[i].name);
		free(names->list[i].dir);
	}
	free(names->list);
	*names = (struct names){0};
}

void loaded_at(const struct object *prog, char *buf, size_t len)
{
	time_t at = (time_t)(prog->prog.load_time / 1000000000);
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(buf, len, "%Y-%m-%dT%H:%M:%S%z", &tm);
}

static void hex_tag(const struct object *prog, char tag[17])
{
	for (int i = 0; i < 8; i++)
		sprintf(tag + 2 * i, "%02x", prog->prog.tag[i]);
}

static unsigned int map_ids(const struct object *prog, __u32 *ids, unsigned int room)
{
	struct ubpffs_io io = {.flags = UBPFFS_PROG_MAP_IDS, .out_len = room * sizeof(*ids)};

	return ubpfc_command(prog->fd, UBPFFS_PROG_PART, &io, NULL, 0, ids)
		       ? 0
		       : io.out_len / sizeof(*ids);
}

/* ---- JSON */

static void out_names(const struct names *names, unsigned int id)
{
	char path[5000];
	bool any = false;

	for (size_t i = 0; i < names->nr; i++) {
		if (names->list[i].id != id)
			continue;
		if (!any)
			out_begin("pinned", '[');
		any = true;
		snprintf(path, sizeof(path), "%s/%s/%s", mount_point(), names->list[i].dir,
			 names->kind == UBPFFS_MAP ? "map" : "prog");
		out_str(NULL, path);
	}
	if (any)
		out_end(']');
}

static void out_prog(const struct object *prog)
{
	const struct bpf_prog_info *info = &prog->prog;
	__u32 ids[64];
	unsigned int n = map_ids(prog, ids, ARRAY_SIZE(ids));
	char tag[17];

	hex_tag(prog, tag);
	out_u64("id", info->id);
	out_str("type", object_type_name(prog));
	out_str("name", info->name);
	out_str("tag", tag);
	out_bool("gpl_compatible", info->gpl_compatible);
	out_u64("run_time_ns", info->run_time_ns);
	out_u64("run_cnt", info->run_cnt);
	out_u64("loaded_at", info->load_time / 1000000000);
	out_u64("uid", info->created_by_uid);
	out_u64("bytes_xlated", info->xlated_prog_len);
	out_bool("jited", info->jited_prog_len);
	if (info->jited_prog_len)
		out_u64("bytes_jited", info->jited_prog_len);
	out_u64("bytes_memlock", object_fdinfo(prog, "memlock"));
	if (n) {
		out_begin("map_ids", '[');
		for (unsigned int i = 0; i < n; i++)
			out_u64(NULL, ids[i]);
		out_end(']');
	}
	if (info->btf_id)
		out_u64("btf_id", info->btf_id);
}

static void out_map(const struct object *map)
{
	const struct bpf_map_info *info = &map->map;

	out_u64("id", info->id);
	out_str("type", object_type_name(map));
	if (*info->name)
		out_str("name", info->name);
	out_u64("flags", info->map_flags);
	out_u64("bytes_key", info->key_size);
	out_u64("bytes_value", info->value_size);
	out_u64("max_entries", info->max_entries);
	out_u64("bytes_memlock", object_fdinfo(map, "memlock"));
	out_u64("frozen", object_fdinfo(map, "frozen"));
	if (info->btf_id)
		out_u64("btf_id", info->btf_id);
}

void out_info(const struct object *obj, const struct names *names)
{
	out_begin(NULL, '{');
	if (obj->kind == UBPFFS_MAP)
		out_map(obj);
	else
		out_prog(obj);
	out_names(names, obj->kind == UBPFFS_MAP ? obj->map.id : obj->prog.id);
	out_end('}');
}

/* ---- text */

static void print_names(const struct names *names, unsigned int id)
{
	for (size_t i = 0; i < names->nr; i++)
		if (names->list[i].id == id)
			printf("\tat %s/%s\n", mount_point(), names->list[i].dir);
}

static void print_prog(const struct object *prog)
{
	const struct bpf_prog_info *info = &prog->prog;
	__u32 ids[64];
	unsigned int n = map_ids(prog, ids, ARRAY_SIZE(ids));
	char tag[17], at[40];

	hex_tag(prog, tag);
	loaded_at(prog, at, sizeof(at));
	printf("%u: %s  name %s  tag %s%s\n", info->id, object_type_name(prog), info->name, tag,
	       info->gpl_compatible ? "  gpl" : "");
	printf("\tloaded_at %s  uid %u\n", at, info->created_by_uid);
	printf("\trun_cnt %llu  run_time_ns %llu", info->run_cnt, info->run_time_ns);
	if (info->run_cnt)
		printf("  (%llu ns a run)", info->run_time_ns / info->run_cnt);
	printf("\n\txlated %uB  ", info->xlated_prog_len);
	if (info->jited_prog_len)
		printf("jited %uB", info->jited_prog_len);
	else
		printf("not jited");
	printf("  memlock %lluB", object_fdinfo(prog, "memlock"));
	for (unsigned int i = 0; i < n; i++)
		printf("%s%u", i ? "," : "  map_ids ", ids[i]);
	printf("\n");
	if (info->btf_id)
		printf("\tbtf_id %u\n", info->btf_id);
}

static void print_map(const struct object *map)
{
	const struct bpf_map_info *info = &map->map;
	char *stats = *map->dir ? read_in_mount("%s/stats", map->dir) : NULL;
	char *end;

	printf("%u: %s  name %s  flags 0x%x%s\n", info->id, object_type_name(map),
	       *info->name ? info->name : "-", info->map_flags,
	       object_fdinfo(map, "frozen") ? "  frozen" : "");
	printf("\tkey %uB  value %uB  max_entries %u  memlock %lluB\n", info->key_size,
	       info->value_size, info->max_entries, object_fdinfo(map, "memlock"));
	if (info->btf_id)
		printf("\tbtf_id %u\n", info->btf_id);
	for (char *line = stats; line && *line; line = end) {
		end = strchrnul(line, '\n');
		end += *end != 0;
		printf("\t%.*s", (int)(end - line), line);
	}
	free(stats);
}

void print_info(const struct object *obj, const struct names *names)
{
	if (obj->kind == UBPFFS_MAP)
		print_map(obj);
	else
		print_prog(obj);
	print_names(names, obj->kind == UBPFFS_MAP ? obj->map.id : obj->prog.id);
}
