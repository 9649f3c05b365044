/*
 * copy.h - copies of values to and from an arena
 *
 * Values are read and written by programs at any time, so the engine's own copies go word by word
 * with relaxed atomics: a copy may mix two versions of a long value, but no aligned word of it is
 * torn. Values begin at multiples of 8 and their room is a multiple of 8.
 */
#ifndef UBPFFS_MAP_COPY_H
#define UBPFFS_MAP_COPY_H

#include "core/types.h"

/* From the arena: src is 8-byte aligned and its room a multiple of 8. */
static inline void bpf_copy_from_arena(void *dst, const void *src, u32 size)
{
	const u64 *words = src;
	char *to = dst;

	for (; size >= 8; size -= 8, to += 8) {
		u64 word = __atomic_load_n(words++, __ATOMIC_RELAXED);

		memcpy(to, &word, 8);
	}
	if (size) {
		u64 word = __atomic_load_n(words, __ATOMIC_RELAXED);

		memcpy(to, &word, size);
	}
}

/* To the arena: the rest of the last word becomes zero. */
static inline void bpf_copy_to_arena(void *dst, const void *src, u32 size)
{
	const char *from = src;
	u64 *words = dst;

	for (; size >= 8; size -= 8, from += 8) {
		u64 word;

		memcpy(&word, from, 8);
		__atomic_store_n(words++, word, __ATOMIC_RELAXED);
	}
	if (size) {
		u64 word = 0;

		memcpy(&word, from, size);
		__atomic_store_n(words, word, __ATOMIC_RELAXED);
	}
}

static inline void bpf_zero_arena(void *dst, u32 size)
{
	u64 *words = dst;

	for (u32 i = 0; i < (size + 7) / 8; i++)
		__atomic_store_n(words + i, 0, __ATOMIC_RELAXED);
}

#endif
