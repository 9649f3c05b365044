/*
 * execmem.h - memory for native code
 *
 * Code lives in packs: files without a name (memfd) that are mapped readable and executable, and
 * never writable, near the engine's text. Code gets in by pwrite() on the file, so that no mapping
 * is writable and executable at any time, and a pack may be written while its other programs run.
 */
#ifndef UBPFFS_JIT_EXECMEM_H
#define UBPFFS_JIT_EXECMEM_H

#include "util/types.h"

struct execmem_pack;

struct execmem { /* one allocation; addr is where the code runs */
	void *addr;
	u32 size; /* room, a multiple of EXECMEM_CHUNK */
	struct execmem_pack *pack;
};

#define EXECMEM_CHUNK 64u

/*
 * Before the first allocation: memory without files, as where those cannot be had. Each program has
 * pages of its own then, which profilers take for a JIT's: they ask the perf map (perf_map.h) about
 * nothing that has a file.
 */
void execmem_use_no_files(void);

/* May code in a near pack reach `target` with a 32-bit displacement? */
bool execmem_near(const void *target);

/*
 * execmem_alloc - room for `size` bytes of code
 *
 * near: only from the window that execmem_near() speaks of; -ENOSPC when there is no place in it.
 * Else anywhere. -ENOMEM; -EACCES where the system forbids executable memory.
 */
int execmem_alloc(u32 size, bool near, struct execmem *out);

/*
 * Put the code in place, fill the rest with traps, and let every CPU see it. Once per allocation.
 */
int execmem_write(const struct execmem *mem, const void *code, u32 len);

/* Publish or (NULL) withdraw whose code this is, for execmem_owner(). */
void execmem_set_owner(const struct execmem *mem, const void *owner);

/* Nobody runs this code any more (a grace period has passed). The memory is filled with traps. */
void execmem_free(struct execmem *mem);

/* The owner of the code at pc, or NULL. Takes no lock: may be called from a signal handler. */
const void *execmem_owner(const void *pc);

#endif
