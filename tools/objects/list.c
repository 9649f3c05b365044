/*
 * list.c - ubpfctl list: one line an object
 *
 * Objects by their names first, then those that have none, by id. As JSON it is what bpftool prints
 * for `prog show` and `map show`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/objects/info.h"
#include "util/types.h"

static void print_line(const char *name, const struct object *obj)
{
	const struct bpf_prog_info *prog = &obj->prog;
	const struct bpf_map_info *map = &obj->map;

	printf("%-28s ", name);
	if (obj->kind == UBPFFS_MAP) {
		printf("%-8u %-18s %-9u %-10u %u\n", map->id, object_type_name(obj), map->key_size,
		       map->value_size, map->max_entries);
		return;
	}
	printf("%-8u %-18s ", prog->id, object_type_name(obj));
	for (u32 i = 0; i < ARRAY_SIZE(prog->tag); i++)
		printf("%02x", prog->tag[i]);
	printf("  %-7llu %u\n", prog->xlated_prog_len / 8ull, prog->jited_prog_len);
}

/* One that went meanwhile, or is somebody else's, is left out: 0. */
static bool may_miss(int err)
{
	return err == ENOENT || err == EACCES || err == EPERM || err == EIO || err == ESTALE;
}

static int nameless(void *ctx, unsigned int id)
{
	const struct names *names = ctx;
	struct object obj;
	char name[32];

	for (size_t i = 0; !out_json() && i < names->nr; i++)
		if (names->list[i].id == id)
			return 0;
	if (object_open_id(names->kind, id, &obj))
		return may_miss(errno) ? 0 : -1;
	snprintf(name, sizeof(name), "(id %u)", id);
	if (out_json())
		out_info(&obj, names);
	else
		print_line(name, &obj);
	object_close(&obj);
	return 0;
}

static int print_names(const struct names *names)
{
	struct object obj;

	if (names->kind == UBPFFS_MAP)
		printf("%-28s %-8s %-18s %-9s %-10s %s\n", "maps", "id", "type", "key_size",
		       "value_size", "max_entries");
	else
		printf("%-28s %-8s %-18s %-17s %-7s %s\n", "progs", "id", "type", "tag", "xlated",
		       "jited_bytes");
	for (size_t i = 0; i < names->nr; i++) {
		if (object_open_id(names->kind, names->list[i].id, &obj)) {
			if (!may_miss(errno))
				return -1;
			printf("%-28s %-8u %s\n", names->list[i].name, names->list[i].id,
			       strerror(errno));
			continue;
		}
		print_line(names->list[i].name, &obj);
		object_close(&obj);
	}
	return 0;
}

static int list(enum ubpffs_kind kind)
{
	struct names names;
	int ret = names_get(kind, &names);

	if (out_json())
		out_begin(NULL, '[');
	else if (!ret)
		ret = print_names(&names);
	if (!ret)
		ret = object_each_id(kind, nameless, &names);
	if (out_json())
		out_end(']');
	names_free(&names);
	return ret ? fail(kind == UBPFFS_MAP ? "maps" : "progs") : 0;
}

int cmd_list(int argc, char **argv)
{
	int ret = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "progs") && strcmp(argv[1], "maps")))
		return 2;
	if (argc == 1 && out_json()) /* two lists are no document */
		return 2;
	if (argc == 1 || !strcmp(argv[1], "progs"))
		ret |= list(UBPFFS_PROG);
	if (argc == 1 || !strcmp(argv[1], "maps"))
		ret |= list(UBPFFS_MAP);
	return ret | out_done();
}
