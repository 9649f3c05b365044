/*
 * symtab.h - the functions of a process, and of the kernel, by address
 *
 * What the process has mapped when symtab_new() is called, from the symbol tables of those files; the process may
 * end afterwards. Everything is read with a user's rights (client_open). Constant once made: any number of threads may
 * look up.
 */
#ifndef UBPFFS_FS_SOURCE_SYMTAB_H
#define UBPFFS_FS_SOURCE_SYMTAB_H

#include <sys/types.h>
#include "core/types.h"

struct symtab;

/* -ESRCH, -EACCES, -ENOMEM. */
int symtab_new(pid_t pid, uid_t uid, gid_t gid, struct symtab **out);
void symtab_free(struct symtab *tab);

struct symbol {
	const char *name; /* NULL: the file has no name for it */
	u64 offset; /* of the address, in the function */
	const char *file; /* "[kernel]" */
};

/* False: the address is in nothing that is known. */
bool symtab_find(const struct symtab *tab, u64 addr, struct symbol *out);

#endif
