/*
 * common_types.c - see common_types.h
 */
#define XXH_INLINE_ALL
#include "fs/store/names/common_types.h"
#include <xxhash.h>
#include "fs/lib/hash.h"

#include <pthread.h>
#include <stdlib.h>

struct common_types {
	struct hash_link link; /* by the bytes and the owner */
	struct bpf_btf *btf;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the table; a leaf */
static struct hash_table in_common;

/* A reference, or NULL. */
static struct bpf_btf *__find(u64 hash, const void *data, u32 size)
{
	struct hash_link *link = hash_find(&in_common, hash);
	u32 has;

	for (; link; link = hash_again(link)) {
		struct bpf_btf *btf = container_of(link, struct common_types, link)->btf;
		const void *raw = bpf_btf_raw(btf, &has);

		if (!raw || has != size || memcmp(raw, data, size))
			continue;
		bpf_btf_inc(btf);
		return btf;
	}
	return NULL;
}

static void __add(u64 hash, struct bpf_btf *btf)
{
	struct common_types *types = malloc(sizeof(*types));

	if (!types)
		return; /* then the next one has its own */
	types->btf = btf;
	bpf_btf_inc(btf);
	hash_add(&in_common, &types->link, hash);
}

/* Nobody waits for another one's types to be parsed; who was slower takes what is there. */
int common_types_get(uid_t owner, const void *data, u32 size, struct bpf_btf **out)
{
	u64 hash = XXH64(data, size, owner);
	struct bpf_btf *btf;
	int err;

	pthread_mutex_lock(&lock);
	*out = __find(hash, data, size);
	pthread_mutex_unlock(&lock);
	if (*out)
		return 0;
	err = bpf_btf_new(data, size, &btf);
	if (err)
		return err;
	pthread_mutex_lock(&lock);
	*out = __find(hash, data, size);
	if (!*out)
		__add(hash, btf);
	pthread_mutex_unlock(&lock);
	if (*out)
		bpf_btf_put(btf);
	else
		*out = btf;
	return 0;
}

void common_types_forget(void)
{
	struct common_types *last = NULL;

	pthread_mutex_lock(&lock);
	hash_for_each(&in_common, link)
	{
		free(last);
		last = container_of(link, struct common_types, link);
		bpf_btf_put(last->btf);
	}
	free(last);
	hash_free(&in_common);
	pthread_mutex_unlock(&lock);
}
