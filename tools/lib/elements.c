/*
 * elements.c - see elements.h
 */
#include <arpa/inet.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "btf/btf_check.h"
#include "text/json_print.h"
#include "tools/lib/elements.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "uapi/ubpffs_client.h"

#define BATCH_BYTES (1 << 20)

size_t value_room(const struct object *map)
{
	return map->cpus ? (size_t)round_up(map->map.value_size, 8) * map->cpus
			 : map->map.value_size;
}

static int one_by_one(const struct object *map, char *key, char *value, element_fn fn, void *ctx)
{
	bool any = false;
	int ret;

	while (!ubpfc_get_next_key(map->fd, any ? key : NULL, key)) {
		any = true;
		if (ubpfc_lookup_elem(map->fd, key, value)) {
			if (errno == ENOENT)
				continue; /* gone meanwhile, or an empty slot */
			return -1;
		}
		ret = fn(ctx, key, value);
		if (ret)
			return ret;
	}
	return errno == ENOENT ? 0 : -1;
}

int each_element(const struct object *map, element_fn fn, void *ctx)
{
	size_t ks = map->map.key_size, vs = value_room(map);
	unsigned int most = ks ? max(BATCH_BYTES / (ks + vs), (size_t)1) : 0, n;
	unsigned long long cursor = 0;
	__do_free char *keys = NULL, *values = NULL;
	int ret = 0, last = 0;

	if (!ks) {
		errno = EOPNOTSUPP;
		return -1;
	}
	keys = malloc(ks * most);
	values = malloc(vs * most + 1);
	if (!keys || !values)
		return -1;
	while (!ret && !last) {
		n = most;
		last = ubpfc_lookup_batch(map->fd, &cursor, keys, values, &n);
		if (last && (errno == EOPNOTSUPP || errno == EINVAL) && !cursor)
			return one_by_one(map, keys, values, fn, ctx);
		if (last && errno != ENOENT)
			return -1;
		for (unsigned int i = 0; !ret && i < n; i++)
			ret = fn(ctx, keys + i * ks, values + i * vs);
	}
	return ret;
}

/* ---- types */

static struct btf *read_types(unsigned int id)
{
	__do_free char *data = NULL;
	__do_close int fd = open_in_mount(O_RDONLY, "ids/btf/%u", id);
	struct bpf_btf_info info = {0};
	unsigned int len = sizeof(info);
	struct ubpffs_io io = {0};

	if (fd < 0 || ubpfc_obj_get_info_by_fd(fd, &info, &len) || !info.btf_size)
		return NULL;
	data = malloc(info.btf_size);
	io.out_len = info.btf_size;
	if (!data || ubpfc_command(fd, UBPFFS_BTF_DATA, &io, NULL, 0, data) ||
	    io.out_len != info.btf_size || bpf_btf_check(data, info.btf_size))
		return NULL;
	return btf__new(data, info.btf_size);
}

const struct bpf_btf *types_of(unsigned int btf_id)
{
	static struct known {
		struct bpf_btf btf;
		struct known *next;
	} * known;
	struct known *k;

	for (k = known; k; k = k->next)
		if (k->btf.id == btf_id)
			return k->btf.btf ? &k->btf : NULL;
	k = btf_id ? calloc(1, sizeof(*k)) : NULL;
	if (!k)
		return NULL;
	*k = (struct known){{.btf = read_types(btf_id), .id = btf_id}, known};
	known = k;
	return k->btf.btf ? &k->btf : NULL;
}

/* "10.0.0.0/8", where the address of a trie is one. */
static bool prefix_json(const struct object *map, const void *key, struct fs_text *out)
{
	u32 size = map->map.key_size - 4, bits;
	char text[INET6_ADDRSTRLEN];

	if (map->map.type != BPF_MAP_TYPE_LPM_TRIE || (size != 4 && size != 16))
		return false;
	memcpy(&bits, key, 4);
	inet_ntop(size == 4 ? AF_INET : AF_INET6, (const char *)key + 4, text, sizeof(text));
	fs_text_printf(out, "\"%s/%u\"", text, bits);
	return true;
}

void key_json(const struct object *map, const void *key, struct fs_text *out)
{
	if (!types_of(map->map.btf_id) && prefix_json(map, key, out))
		return;
	json_value(out, types_of(map->map.btf_id), map->map.btf_key_type_id, key,
		   map->map.key_size);
}

void value_json(const struct object *map, const void *value, unsigned int cpu, struct fs_text *out)
{
	const char *at = value;

	json_value(out, types_of(map->map.btf_id), map->map.btf_value_type_id,
		   at + (size_t)cpu * round_up(map->map.value_size, 8), map->map.value_size);
}

/* ---- elements */

static void out_text(const char *name, struct fs_text *text)
{
	out_raw(name, text->buf ? text->buf : "null");
	text->len = 0;
}

static void out_values(const struct object *map, const char *value)
{
	if (!map->cpus) {
		out_bytes("value", value, map->map.value_size);
		return;
	}
	out_begin("values", '[');
	for (unsigned int cpu = 0; cpu < map->cpus; cpu++) {
		out_begin(NULL, '{');
		out_u64("cpu", cpu);
		out_bytes("value", value + (size_t)cpu * round_up(map->map.value_size, 8),
			  map->map.value_size);
		out_end('}');
	}
	out_end(']');
}

void out_element(const struct object *map, const void *key, const void *value)
{
	struct fs_text text = {0};

	out_begin(NULL, '{');
	out_bytes("key", key, map->map.key_size);
	out_values(map, value);
	if (types_of(map->map.btf_id) && map->map.btf_value_type_id) {
		out_begin("formatted", '{');
		key_json(map, key, &text);
		out_text("key", &text);
		if (map->cpus)
			out_begin("values", '[');
		for (unsigned int cpu = 0; cpu < max(map->cpus, 1u); cpu++) {
			value_json(map, value, cpu, &text);
			if (!map->cpus) {
				out_text("value", &text);
				continue;
			}
			out_begin(NULL, '{');
			out_u64("cpu", cpu);
			out_text("value", &text);
			out_end('}');
		}
		if (map->cpus)
			out_end(']');
		out_end('}');
	}
	out_end('}');
	fs_text_free(&text);
}

void print_element(const struct object *map, const void *key, const void *value)
{
	struct fs_text text = {0};

	key_json(map, key, &text);
	for (unsigned int cpu = 0; cpu < max(map->cpus, 1u); cpu++) {
		size_t len = text.len;

		value_json(map, value, cpu, &text);
		if (map->cpus)
			printf("key: %.*s  cpu: %u  value: %s\n", (int)len, text.buf, cpu,
			       text.buf + len);
		else
			printf("key: %.*s  value: %s\n", (int)len, text.buf, text.buf + len);
		text.len = len;
	}
	fs_text_free(&text);
}
