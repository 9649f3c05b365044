/*
 * map.c - bpf(2)'s commands on maps
 *
 * Keys and values are copied by the map's own sizes, as the server tells them for the descriptor at
 * hand. Slots of programs and maps get descriptors here and ids there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/run/commands/btf.h"
#include "tools/run/commands/map.h"
#include "tools/run/commands/object.h"
#include "util/cpu_list.h"

uint64_t map_value_size(const struct object *map)
{
	if (!map->cpus)
		return map->map.value_size;
	return ((uint64_t)map->map.value_size + 7) / 8 * 8 * map->cpus;
}

int map_cpus_fit(const struct object *map)
{
	return !map->cpus || map->cpus == (unsigned int)cpu_possible_count() ? 0 : -EOPNOTSUPP;
}

unsigned int map_slot_kind(const struct object *map)
{
	switch (map->map.type) {
	case BPF_MAP_TYPE_PROG_ARRAY:
		return UBPFFS_PROG;
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
		return UBPFFS_EVENT;
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return UBPFFS_MAP;
	}
	return 0;
}

int map_fd_to_id(struct caller *c, unsigned int kind, void *value)
{
	struct object obj;
	int fd, err;

	memcpy(&fd, value, sizeof(fd));
	err = object_of_fd(c, fd, kind, &obj);
	if (!err)
		memcpy(value,
		       kind == UBPFFS_MAP    ? &obj.map.id
		       : kind == UBPFFS_PROG ? &obj.prog.id
					     : &obj.event.id,
		       sizeof(fd));
	object_end(&obj);
	return err;
}

long run_map_create(struct bpf_call *call)
{
	uint32_t flags = call->attr.map_flags, id;
	struct ubpffs_io io = {.out_len = sizeof(id)};
	union bpf_attr attr = call->attr;
	int ctl, mode, err;
	long ret;

	mode = object_mode(flags & (BPF_F_RDONLY | BPF_F_WRONLY));
	if (mode < 0)
		return mode;
	/* The kernel's own types, and devices, are none of ours. */
	if (attr.btf_vmlinux_value_type_id || attr.map_ifindex)
		return -EINVAL;
	if (attr.btf_key_type_id && !attr.btf_value_type_id)
		return -EINVAL;
	if (attr.btf_value_type_id) {
		err = run_btf_id(call->c, attr.btf_fd, &attr.btf_fd);
		if (err)
			return err;
	}
	if (attr.map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	    attr.map_type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		err = map_fd_to_id(call->c, UBPFFS_MAP, &attr.inner_map_fd);
		if (err)
			return err;
	}
	ctl = mount_open("ctl", O_RDWR);
	if (ctl < 0)
		return ctl;
	ret = mount_command(ctl, UBPFFS_MAP_CREATE, &io, &attr,
			    offsetof(union bpf_attr, map_extra) + sizeof(attr.map_extra), &id);
	if (ret == -EOPNOTSUPP)
		ret = -EINVAL; /* a kernel that lacks it */
	if (!ret)
		ret = give_object(call->c, "map", id, mode);
	close(ctl);
	return ret;
}

/* ---- one element */

long run_map_elem(struct bpf_call *call)
{
	static const unsigned int twins[] = {
		[BPF_MAP_LOOKUP_ELEM] = UBPFFS_MAP_LOOKUP_ELEM,
		[BPF_MAP_UPDATE_ELEM] = UBPFFS_MAP_UPDATE_ELEM,
		[BPF_MAP_DELETE_ELEM] = UBPFFS_MAP_DELETE_ELEM,
		[BPF_MAP_GET_NEXT_KEY] = UBPFFS_MAP_GET_NEXT_KEY,
		[BPF_MAP_LOOKUP_AND_DELETE_ELEM] = UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM,
	};
	bool update = call->cmd == BPF_MAP_UPDATE_ELEM;
	bool next = call->cmd == BPF_MAP_GET_NEXT_KEY;
	bool del = call->cmd == BPF_MAP_DELETE_ELEM;
	struct ubpffs_io io = {.flags = next || del ? 0 : call->attr.flags};
	uint64_t key, value, len;
	struct object map;
	char *in = NULL, *out = NULL;
	long err;

	err = object_of_fd(call->c, call->attr.map_fd, UBPFFS_MAP, &map);
	if (!err)
		err = map_cpus_fit(&map);
	if (err)
		goto out;
	key = map.map.key_size;
	value = map_value_size(&map);
	in = malloc(key + value + 1);
	out = malloc(key + value + 1);
	if (!in || !out) {
		err = -ENOMEM;
		goto out;
	}
	len = key;
	if (!key && call->attr.key) {
		err = -EINVAL;
	} else if (next && !call->attr.key) {
		len = 0; /* the first */
	} else {
		err = caller_read(call->c, call->attr.key, in, key);
	}
	/* A bloom filter is asked about a value. */
	if (!err && (update || (map.map.type == BPF_MAP_TYPE_BLOOM_FILTER && !next && !del))) {
		err = caller_read(call->c, call->attr.value, in + key, value);
		len += value;
	}
	if (!err && update && map_slot_kind(&map))
		err = map_fd_to_id(call->c, map_slot_kind(&map), in + key);
	io.out_len = next ? key : update || del ? 0 : value;
	if (!err)
		err = mount_command(map.fd, twins[call->cmd], &io, in, len, out);
	if (!err && io.out_len)
		err = caller_write(call->c, next ? call->attr.next_key : call->attr.value, out,
				   io.out_len);
out:
	free(in);
	free(out);
	object_end(&map);
	return err;
}

long run_map_freeze(struct bpf_call *call)
{
	struct ubpffs_io io = {0};
	struct object map;
	long err = object_of_fd(call->c, call->attr.map_fd, UBPFFS_MAP, &map);

	if (!err)
		err = mount_command(map.fd, UBPFFS_MAP_FREEZE, &io, NULL, 0, NULL);
	object_end(&map);
	return err;
}
