/*
 * hash.h - a table of chains that grows with what is in it
 *
 * An entry holds a struct hash_link. Several entries may have one key; what a key stands for (an
 * id, an inode, a hash of more) is the user's, who compares the rest. Adding never fails: without
 * memory for a larger table chains get longer. A zeroed struct hash_table is an empty one. Not
 * thread safe: the user has a lock.
 */
#ifndef UBPFFS_FS_LIB_HASH_H
#define UBPFFS_FS_LIB_HASH_H

#include <stdlib.h>
#include <string.h>
#include "util/types.h"

/* A key of bytes; other bytes may have it, too (FNV-1a). */
static inline u64 hash_bytes(const void *bytes, size_t len)
{
	const u8 *p = bytes;
	u64 h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

static inline u64 hash_text(const char *text)
{
	return hash_bytes(text, strlen(text));
}

struct hash_link {
	struct hash_link *next;
	u64 key;
};

struct hash_table {
	struct hash_link **chains; /* NULL: `one` is the only chain */
	struct hash_link *one;
	u32 bits; /* 1 << bits chains */
	size_t count;
};

static inline size_t hash_index(const struct hash_table *table, u64 key)
{
	return key * 0x9e3779b97f4a7c15ULL >> (64 - table->bits);
}

static inline struct hash_link **hash_chain(struct hash_table *table, u64 key)
{
	return table->chains ? &table->chains[hash_index(table, key)] : &table->one;
}

/* The first entry with this key, and the next one with the same. */
static inline struct hash_link *hash_find(struct hash_table *table, u64 key)
{
	struct hash_link *link = *hash_chain(table, key);

	while (link && link->key != key)
		link = link->next;
	return link;
}

static inline struct hash_link *hash_again(struct hash_link *link)
{
	u64 key = link->key;

	do
		link = link->next;
	while (link && link->key != key);
	return link;
}

static inline struct hash_link *hash_from(const struct hash_table *table, size_t chain)
{
	for (; table->chains && chain < (size_t)1 << table->bits; chain++)
		if (table->chains[chain])
			return table->chains[chain];
	return NULL;
}

/* All entries, in no order. Nothing is added or removed meanwhile. */
static inline struct hash_link *hash_first(const struct hash_table *table)
{
	return table->chains ? hash_from(table, 0) : table->one;
}

static inline struct hash_link *hash_next(const struct hash_table *table,
					  const struct hash_link *link)
{
	if (link->next || !table->chains)
		return link->next;
	return hash_from(table, hash_index(table, link->key) + 1);
}

#define hash_for_each(table, link) \
	for (struct hash_link *link = hash_first(table); link; link = hash_next(table, link))

static inline void hash_grow(struct hash_table *table)
{
	struct hash_table larger = {.bits = table->bits ? table->bits + 2 : 4};
	size_t chains = table->chains ? (size_t)1 << table->bits : 1;

	larger.chains = calloc((size_t)1 << larger.bits, sizeof(*larger.chains));
	if (!larger.chains)
		return;
	for (size_t i = 0; i < chains; i++) {
		struct hash_link *link = table->chains ? table->chains[i] : table->one, *next;

		for (; link; link = next) {
			struct hash_link **chain = hash_chain(&larger, link->key);

			next = link->next;
			link->next = *chain;
			*chain = link;
		}
	}
	larger.count = table->count;
	free(table->chains);
	*table = larger;
}

static inline void hash_add(struct hash_table *table, struct hash_link *link, u64 key)
{
	struct hash_link **chain;

	if (table->count >= (size_t)1 << table->bits)
		hash_grow(table);
	chain = hash_chain(table, key);
	link->key = key;
	link->next = *chain;
	*chain = link;
	table->count++;
}

/* It is in the table. */
static inline void hash_remove(struct hash_table *table, struct hash_link *link)
{
	struct hash_link **p = hash_chain(table, link->key);

	while (*p != link)
		p = &(*p)->next;
	*p = link->next;
	table->count--;
}

/* The table's own memory; it is empty then. */
static inline void hash_free(struct hash_table *table)
{
	free(table->chains);
	*table = (struct hash_table){0};
}

#endif
