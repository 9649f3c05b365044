/*
 * symtab.h - functions by address: the table of a process, or of the kernel
 *
 * A table is one block of bytes (struct symtab_header and what follows it), made by a child that
 * has the rights of whoever asked (agent/service/stack/symbols.c) and sent to the server. The child
 * has read hostile files, so the server believes nothing: symtab_new() checks every count, index
 * and order before anybody looks something up.
 *
 * Guarantees
 *   A. What symtab_new() takes is safe to search with any address: no index leads out of the block,
 *      every name ends in it.
 *   B. Mappings ascend by image and address and do not overlap; the symbols of a file ascend, one
 *      an address. A search takes logarithmic time, a check linear time, whatever the block holds.
 *   C. Names are printable: a control character was made a `?`, so that a name cannot make lines.
 *   D. A table is constant once made: any number of threads may look up.
 * Pure functions. Tests: tests/unit/test_symtab.c names each case by its letter.
 */
#ifndef UBPFFS_FS_AGENT_FORMAT_SYMTAB_H
#define UBPFFS_FS_AGENT_FORMAT_SYMTAB_H

#include "util/types.h"

#define SYMTAB_MAX_BYTES (256u << 20)
#define SYMTAB_MAX_SEGS	 64 /* of a file */
#define SYMTAB_MAGIC	 0x62617473u

/* In this order, each 8-byte aligned: header, maps, segments, symbols, files, names. */
struct symtab_header {
	u32 magic;
	u32 nr_maps, nr_segs, nr_syms, nr_files;
	u32 names_len; /* the last byte is 0 */
};

struct symtab_map { /* code that the process has mapped */
	u64 start, end;
	u64 offset; /* in the file */
	u32 file; /* index */
	u32 image; /* whose addresses these are (agent/format/image.h); 0: of stacks without one */
};

struct symtab_seg { /* where the bytes of a file stand in the addresses of its symbols */
	u64 offset, size, vaddr;
};

struct symtab_sym {
	u64 addr, size; /* size 0: up to the next one */
	u64 name; /* in names */
};

struct symtab_file {
	u32 path; /* in names */
	u32 seg, nr_segs;
	u32 sym, nr_syms;
	u32 unused;
};

struct symtab;

/* Takes over the block (malloc'ed), also on failure. -EBADMSG: it is not one; -ENOMEM. */
int symtab_new(void *block, size_t len, struct symtab **out);
void symtab_free(struct symtab *tab);
size_t symtab_bytes(const struct symtab *tab);
bool symtab_has_names(const struct symtab *tab);

struct symbol {
	const char *name; /* NULL: the file has no name for it */
	u64 offset; /* of the address, in the function */
	const char *file;
};

/* False: the address is in nothing that is known. */
bool symtab_find(const struct symtab *tab, u32 image, u64 addr, struct symbol *out);

#endif
