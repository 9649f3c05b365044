/*
 * element.c - ubpfctl dump, lookup, update, delete: a map's elements
 *
 * Through the map's descriptor, so that pins and maps without a name have them, too. A key and a
 * value are one word each, or, as bpftool has them, `key` and `value` with bytes behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tools/lib/bytes.h"
#include "tools/lib/commands.h"
#include "tools/lib/elements.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "uapi/ubpffs_client.h"

/* What the words say: the map, a key, a value. */
struct asked {
	struct object map;
	char *key, *value;
	unsigned long long flags;
};

static void asked_free(struct asked *asked)
{
	object_close(&asked->map);
	free(asked->key);
	free(asked->value);
}

/* Returns 1: the exit status. */
static int say(const char *what, int err, struct error_record *why)
{
	fprintf(stderr, "ubpfctl: %s: %s\n", what, error_why(why, err));
	error_clear(why);
	return 1;
}

static int parse(const char *what, int argc, char **argv, const struct bytes_type *type, void *out)
{
	struct error_record why = {0};
	int err = bytes_parse(argc, argv, type, out, &why);

	return err ? say(what, err, &why) : 0;
}

static int parse_key(struct asked *asked, int argc, char **argv)
{
	const struct bpf_map_info *info = &asked->map.map;
	struct bytes_type type = {types_of(info->btf_id), info->btf_key_type_id, info->key_size,
				  info->type == BPF_MAP_TYPE_LPM_TRIE};

	if (!info->key_size) {
		fprintf(stderr,
			"ubpfctl: a map of type %s has no keys: use %s/%s/push, pop and dump as "
			"files\n",
			object_type_name(&asked->map), mount_point(),
			*asked->map.dir ? asked->map.dir : "maps/NAME");
		return 1;
	}
	asked->key = calloc(1, info->key_size);
	return asked->key ? parse("the key", argc, argv, &type, asked->key) : fail("memory");
}

/*
 * JSON may leave members out: those keep what is there. A value of a per-CPU map is every CPU's.
 */
static int parse_value(struct asked *asked, int argc, char **argv)
{
	const struct bpf_map_info *info = &asked->map.map;
	struct bytes_type type = {types_of(info->btf_id), info->btf_value_type_id,
				  info->value_size};
	size_t room = value_room(&asked->map), one = round_up(info->value_size, 8);
	bool json = argc == 1 && (*argv[0] == '{' || *argv[0] == '[');
	int ret = 0;

	asked->value = calloc(1, room ? room : 1);
	if (!asked->value)
		return fail("memory");
	if (json && ubpfc_lookup_elem(asked->map.fd, asked->key, asked->value) && errno != ENOENT)
		return fail(argv[0]);
	for (unsigned int cpu = 0; !ret && cpu < max(asked->map.cpus, 1u); cpu++)
		ret = parse("the value", argc, argv, &type, asked->value + cpu * one);
	return ret;
}

static int word_at(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], word))
			return i;
	return argc;
}

static int take_flags(struct asked *asked, int argc, char **argv)
{
	static const char *const words[] = {"any", "noexist", "exist"};

	for (unsigned int i = 0; argc > 1 && i < ARRAY_SIZE(words); i++)
		if (!strcmp(argv[argc - 1], words[i])) {
			asked->flags = i;
			return argc - 1;
		}
	return argc;
}

/* MAP KEY [VALUE] or MAP key BYTES... [value BYTES...]. The exit status. */
static int ask(struct asked *asked, int argc, char **argv, bool value)
{
	int n, end, ret;

	*asked = (struct asked){.map.fd = -1};
	if (argc < 2 + value)
		return 2;
	n = object_open(UBPFFS_MAP, argc, argv, &asked->map);
	if (n < 0)
		return 1;
	argc -= n;
	argv += n;
	if (value)
		argc = take_flags(asked, argc, argv);
	if (argc > 1 && !strcmp(argv[0], "key")) {
		end = value ? word_at(argc, argv, "value") : argc;
		if (end < 2 || (value && end >= argc - 1))
			return 2;
		ret = parse_key(asked, end - 1, argv + 1);
		return ret || !value ? ret : parse_value(asked, argc - end - 1, argv + end + 1);
	}
	if (argc != 1 + value)
		return 2;
	ret = parse_key(asked, 1, argv);
	return ret || !value ? ret : parse_value(asked, 1, argv + 1);
}

/* The call failed; what an errno means of an element is the same everywhere. Returns 1. */
static int refused(const struct asked *asked, const char *what)
{
	const struct bpf_map_info *info = &asked->map.map;
	struct fs_text key = {0};
	int err = errno;

	key_json(&asked->map, asked->key, &key);
	fprintf(stderr, "ubpfctl: %s: key %s: ", what, key.buf ? key.buf : "");
	fs_text_free(&key);
	if (err == ENOENT && info->type == BPF_MAP_TYPE_ARRAY)
		fprintf(stderr, "the array has %u elements, from 0 on\n", info->max_entries);
	else if (err == ENOENT)
		fprintf(stderr, "there is no such key (ubpfctl dump shows those that are there)\n");
	else if (err == EEXIST)
		fprintf(stderr, "it is there already, and noexist was asked for\n");
	else if (err == E2BIG && strstr(object_type_name(&asked->map), "array"))
		fprintf(stderr, "the map has %u elements, from 0 on\n", info->max_entries);
	else if (err == E2BIG)
		fprintf(stderr,
			"the map is full (%u entries): delete some, or make it with a larger "
			"max_entries\n",
			info->max_entries);
	else if (err == EINVAL && !strcmp(what, "delete"))
		fprintf(stderr, "elements of type %s cannot be deleted; update it to 0\n",
			object_type_name(&asked->map));
	else if (err == EPERM && asked->map.read_only)
		fprintf(stderr, "you may only read this map (see its owner and mode by ls -l)\n");
	else if (err == EPERM)
		fprintf(stderr, "the map is frozen, or its flags forbid it (ubpfctl show map)\n");
	else
		fprintf(stderr, "%s\n", strerror(err));
	return 1;
}

int cmd_lookup(int argc, char **argv)
{
	struct asked asked;
	int ret = ask(&asked, argc - 1, argv + 1, false);

	if (!ret)
		asked.value = calloc(1, value_room(&asked.map) + 1);
	if (!ret && !asked.value)
		ret = fail("memory");
	if (!ret && ubpfc_lookup_elem(asked.map.fd, asked.key, asked.value))
		ret = refused(&asked, "lookup");
	if (!ret && out_json())
		out_element(&asked.map, asked.key, asked.value);
	else if (!ret)
		print_element(&asked.map, asked.key, asked.value);
	asked_free(&asked);
	return ret ? ret : out_done();
}

int cmd_update(int argc, char **argv)
{
	struct asked asked;
	int ret = ask(&asked, argc - 1, argv + 1, true);

	if (!ret && ubpfc_update_elem(asked.map.fd, asked.key, asked.value, asked.flags))
		ret = refused(&asked, "update");
	asked_free(&asked);
	if (!ret)
		out_null();
	return ret ? ret : out_done();
}

int cmd_delete(int argc, char **argv)
{
	struct asked asked;
	int ret = ask(&asked, argc - 1, argv + 1, false);

	if (!ret && ubpfc_delete_elem(asked.map.fd, asked.key))
		ret = refused(&asked, "delete");
	asked_free(&asked);
	if (!ret)
		out_null();
	return ret ? ret : out_done();
}

/* ---- dump */

struct dump {
	const struct object *map;
	unsigned long long n;
};

static int dump_element(void *ctx, const void *key, const void *value)
{
	struct dump *dump = ctx;

	dump->n++;
	if (out_json())
		out_element(dump->map, key, value);
	else
		print_element(dump->map, key, value);
	return 0;
}

/* A map without keys has its values in a file. */
static int dump_file(const struct object *map)
{
	char *text;

	if (!*map->dir) {
		fprintf(stderr,
			"ubpfctl: a map of type %s has no keys; name it by its directory in "
			"maps/\n",
			object_type_name(map));
		return 1;
	}
	text = read_in_mount("%s/%s", map->dir, out_json() ? "dump.json" : "dump");
	if (!text)
		return fail(map->dir);
	fputs(text, stdout);
	free(text);
	return out_done();
}

int cmd_dump(int argc, char **argv)
{
	struct object map;
	struct dump dump = {&map};
	int n, ret;

	if (argc < 2)
		return 2;
	n = object_open(UBPFFS_MAP, argc - 1, argv + 1, &map);
	if (n < 0)
		return 1;
	if (n != argc - 1) {
		object_close(&map);
		return 2;
	}
	if (!map.map.key_size) {
		ret = dump_file(&map);
		object_close(&map);
		return ret;
	}
	if (out_json())
		out_begin(NULL, '[');
	ret = each_element(&map, dump_element, &dump);
	if (out_json())
		out_end(']');
	else if (!ret)
		printf("Found %llu element%s\n", dump.n, dump.n == 1 ? "" : "s");
	object_close(&map);
	return (ret ? fail(argv[1]) : 0) | out_done();
}
