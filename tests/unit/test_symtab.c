/*
 * test_symtab.c - tables of symbols from a process that may lie (fs/agent/format/symtab.h)
 *
 * Each case is named by the letter of its guarantee. A table is a heap block of exactly its size,
 * so that a sanitizer sees what is read outside of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fs/agent/format/symtab.h"

struct block { /* two mappings, one of them of a file with two symbols */
	struct symtab_header header;
	struct symtab_map maps[2];
	struct symtab_seg segs[1];
	struct symtab_sym syms[2];
	struct symtab_file files[2];
	char names[24];
};

static const struct block good = {
	.header = {SYMTAB_MAGIC, 2, 1, 2, 2, sizeof(good.names)},
	.maps = {{0x1000, 0x3000, 0x1000, 0}, {0x3000, 0x4000, 0, 1}},
	.segs = {{0x1000, 0x2000, 0x401000}},
	.syms = {{0x401100, 0x10, 4}, {0x402000, 0, 8}},
	.files = {{0, 0, 1, 0, 2, 0}, {12, 1, 0, 2, 0, 0}},
	.names = "/a\0\0one\0two\0[vdso]",
};

static int take(const void *data, size_t len, struct symtab **tab)
{
	void *copy = malloc(len ? len : 1);

	memcpy(copy, data, len);
	return symtab_new(copy, len, tab);
}

static void expect_bad(const struct block *b)
{
	struct symtab *tab;

	assert_int_equal(take(b, sizeof(*b), &tab), -EBADMSG);
	assert_null(tab);
}

#define BAD(change)                    \
	do {                           \
		struct block b = good; \
		b.change;              \
		expect_bad(&b);        \
	} while (0)

static void expect_symbol(const struct symtab *tab, u64 addr, const char *name, u64 offset,
			  const char *file)
{
	struct symbol sym;

	assert_true(symtab_find(tab, 0, addr, &sym));
	assert_string_equal(sym.file, file);
	if (!name) {
		assert_null(sym.name);
		return;
	}
	assert_non_null(sym.name);
	assert_string_equal(sym.name, name);
	assert_int_equal(sym.offset, offset);
}

static void b_finds(void **state)
{
	struct symtab *tab;
	struct symbol sym;

	assert_int_equal(take(&good, sizeof(good), &tab), 0);
	assert_true(symtab_has_names(tab));
	expect_symbol(tab, 0x1100, "one", 0, "/a");
	expect_symbol(tab, 0x110f, "one", 15, "/a");
	expect_symbol(tab, 0x1110, NULL, 0, "/a"); /* after its end */
	expect_symbol(tab, 0x10ff, NULL, 0, "/a");
	expect_symbol(tab, 0x2fff, "two", 0xfff, "/a"); /* of size 0: to the next one */
	expect_symbol(tab, 0x3000, NULL, 0, "[vdso]");
	assert_false(symtab_find(tab, 0, 0xfff, &sym));
	assert_false(symtab_find(tab, 0, 0x4000, &sym));
	assert_false(symtab_find(tab, 0, ~0ULL, &sym));
	symtab_free(tab);
	symtab_free(NULL);
}

/* Two images at the same addresses. */
static void b_images(void **state)
{
	struct block b = good;
	struct symtab *tab;
	struct symbol sym;

	b.maps[1] = (struct symtab_map){0x1000, 0x2000, 0, 1, 7};
	assert_int_equal(take(&b, sizeof(b), &tab), 0);
	expect_symbol(tab, 0x1100, "one", 0, "/a");
	assert_true(symtab_find(tab, 7, 0x1100, &sym));
	assert_string_equal(sym.file, "[vdso]");
	assert_false(symtab_find(tab, 7, 0x2000, &sym));
	assert_false(symtab_find(tab, 6, 0x1100, &sym));
	assert_false(symtab_find(tab, 8, 0x1100, &sym));
	symtab_free(tab);
}

static void b_order(void **state)
{
	BAD(maps[1].start = 0x2fff); /* one over another */
	BAD(maps[0].end = 0x1000);
	BAD(maps[0].end = 0xfff);
	BAD(maps[0].image = 1); /* images descend */
	BAD(syms[1].addr = 0x401100); /* two at one address */
	BAD(syms[1].addr = 0x4010ff);
}

static void a_counts(void **state)
{
	BAD(header.magic ^= 1);
	BAD(header.nr_maps = 1);
	BAD(header.nr_maps = UINT32_MAX);
	BAD(header.nr_segs = 2);
	BAD(header.nr_syms = 1u << 31);
	BAD(header.nr_files = UINT32_MAX);
	BAD(header.names_len = 0);
	BAD(header.names_len = UINT32_MAX);
	/* sums that overflow in 32 bits */
	BAD(header.nr_syms = (u32)((1ULL << 32) / sizeof(struct symtab_sym)) + 3);
}

static void a_indexes(void **state)
{
	BAD(maps[1].file = 2);
	BAD(maps[1].file = UINT32_MAX);
	BAD(files[0].path = sizeof(good.names));
	BAD(files[1].path = UINT32_MAX);
	BAD(syms[0].name = sizeof(good.names));
	BAD(syms[1].name = 1ULL << 32);
	BAD(names[sizeof(good.names) - 1] = 'x'); /* no end */
	/* parts that two files have, or none */
	BAD(files[0].nr_syms = 3);
	BAD(files[0].nr_syms = 1);
	BAD(files[1].nr_syms = 1);
	BAD(files[1].sym = 1);
	BAD(files[0].nr_segs = 0);
	BAD(files[0].nr_segs = UINT32_MAX);
	BAD(files[1].seg = 0);
}

static void a_cut_off(void **state)
{
	struct symtab *tab;

	for (size_t len = 0; len < sizeof(good); len++)
		assert_int_equal(take(&good, len, &tab), -EBADMSG);
}

/* Any word as anything: it is refused, or safe to search. */
static void a_random(void **state)
{
	u32 seed = 12345;

	for (u32 i = 0; i < 200000; i++) {
		struct symtab *tab;
		struct symbol sym;
		u8 b[sizeof(good)];

		memcpy(b, &good, sizeof(good));
		for (u32 k = 0; k < 1 + i % 3; k++) {
			seed = seed * 1103515245 + 12345;
			b[(seed >> 8) % sizeof(b)] = (u8)(seed >> 24);
		}
		if (take(b, sizeof(b), &tab))
			continue;
		for (u64 addr = 0; addr < 0x5000; addr += 0x7f)
			if (symtab_find(tab, 0, addr, &sym))
				assert_true(strlen(sym.file) < sizeof(good.names) &&
					    (!sym.name || strlen(sym.name) < sizeof(good.names)));
		symtab_find(tab, 0, ~0ULL, &sym);
		symtab_free(tab);
	}
}

static void c_printable(void **state)
{
	struct block b = good;
	struct symtab *tab;

	b.names[4] = '\n';
	b.names[5] = 0x1b;
	b.names[6] = 0x7f;
	b.names[12] = '\r';
	assert_int_equal(take(&b, sizeof(b), &tab), 0);
	expect_symbol(tab, 0x1100, "???", 0, "/a");
	expect_symbol(tab, 0x3000, NULL, 0, "?vdso]");
	symtab_free(tab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_counts),  cmocka_unit_test(a_indexes),
		cmocka_unit_test(a_cut_off), cmocka_unit_test(a_random),
		cmocka_unit_test(b_finds),   cmocka_unit_test(b_order),
		cmocka_unit_test(b_images),  cmocka_unit_test(c_printable),
	};

	return cmocka_run_group_tests_name("symtab", tests, NULL, NULL);
}
