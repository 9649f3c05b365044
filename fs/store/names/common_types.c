/*
 * common_types.c - see common_types.h
 */
#define XXH_INLINE_ALL
#include "fs/store/names/common_types.h"
#include <xxhash.h>
#include "fs/lib/hash.h"

#include <stdlib.h>

struct common_types {
	struct hash_link link; /* by the bytes and the owner */
	struct bpf_btf *btf;
};

static struct hash_table in_common;

int common_types_get(uid_t owner, const void *data, u32 size, struct bpf_btf **out)
{
	u64 hash = XXH64(data, size, owner);
	struct hash_link *link = hash_find(&in_common, hash);
	struct common_types *types;
	int err;
	u32 has;

	for (; link; link = hash_again(link)) {
		const void *raw;

		types = container_of(link, struct common_types, link);
		raw = bpf_btf_raw(types->btf, &has);
		if (!raw || has != size || memcmp(raw, data, size))
			continue;
		*out = types->btf;
		bpf_btf_inc(*out);
		return 0;
	}
	err = bpf_btf_new(data, size, out);
	if (err)
		return err;
	types = malloc(sizeof(*types));
	if (!types)
		return 0; /* then the next one has its own */
	types->btf = *out;
	bpf_btf_inc(*out);
	hash_add(&in_common, &types->link, hash);
	return 0;
}

void common_types_forget(void)
{
	struct common_types *last = NULL;

	hash_for_each(&in_common, link)
	{
		free(last);
		last = container_of(link, struct common_types, link);
		bpf_btf_put(last->btf);
	}
	free(last);
	hash_free(&in_common);
}
