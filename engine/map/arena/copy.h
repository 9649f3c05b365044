/*
 * copy.h - copies of values to and from an arena
 *
 * Values are read and written by programs at any time, so the engine's own copies go word by word
 * with relaxed atomics: a copy may mix two versions of a long value, but no aligned word of it is
 * torn. Values begin at multiples of 8 and their room is a multiple of 8.
 */
#ifndef UBPFFS_MAP_COPY_H
#define UBPFFS_MAP_COPY_H

#include "util/types.h"

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

/* Those bytes of a word that `mask` has: each naturally aligned part of it at once. */
static inline void bpf_copy_word_part(char *dst, const char *src, const u8 *mask)
{
	for (u32 at = 0, n; at < 8; at += n) {
		u64 eight;
		u32 four;
		u16 two;

		for (n = 8; n > 1; n /= 2)
			if (!(at % n) && !memchr(mask + at, 0, n))
				break;
		if (!mask[at])
			continue;
		memcpy(&eight, src, sizeof(eight));
		memcpy(&four, src + (at & 4u), sizeof(four));
		memcpy(&two, src + (at & 6u), sizeof(two));
		if (n == 8)
			__atomic_store_n((u64 *)(void *)dst, eight, __ATOMIC_RELAXED);
		else if (n == 4)
			__atomic_store_n((u32 *)(void *)(dst + at), four, __ATOMIC_RELAXED);
		else if (n == 2)
			__atomic_store_n((u16 *)(void *)(dst + at), two, __ATOMIC_RELAXED);
		else
			__atomic_store_n((u8 *)dst + at, (u8)src[at], __ATOMIC_RELAXED);
	}
}

/*
 * Those bytes of a value that `mask` has (each is 0 or not); the others stay as they are. What is
 * an aligned number is written at once.
 */
static inline void bpf_copy_bytes_to_arena(void *dst, const void *src, const u8 *mask, u32 size)
{
	for (u32 at = 0; at < size; at += 8) {
		u32 n = size - at < 8 ? size - at : 8;
		char word[8] = {0};
		u8 here[8] = {0};

		memcpy(word, (const char *)src + at, n);
		memcpy(here, mask + at, n);
		bpf_copy_word_part((char *)dst + at, word, here);
	}
}

static inline void bpf_zero_arena(void *dst, u32 size)
{
	u64 *words = dst;

	for (u32 i = 0; i < (size + 7) / 8; i++)
		__atomic_store_n(words + i, 0, __ATOMIC_RELAXED);
}

#endif
