/*
 * loader.h - an object becomes names: programs in progs/, maps in maps/, all or none
 */
#ifndef UBPFFS_FS_PROGS_LOAD_LOADER_H
#define UBPFFS_FS_PROGS_LOAD_LOADER_H

#include "classic/text.h"
#include "fs/node/node.h"

/*
 * load_object - load a complete ELF object for the caller into `dir`, which is progs/ or a load
 * directory
 * type: of programs whose SEC() names none, or NULL.
 *
 * What it makes belongs to the caller, with bits 0666 (directories 0777) without `umask`. `report`
 * becomes the text of progs/log, also on failure. Returns 0, or -errno with a sentence in M/log:
 * what the verifier or the reader said, -EEXIST for a name that is taken, -EINVAL or -EACCES for a
 * map that it cannot bind to.
 */
int load_object(struct fs_req *req, struct fs_node *dir, const void *elf, size_t len,
		const char *type, mode_t umask, struct fs_text *report);

/*
 * load_classic - the same for a classic filter: one program. -EINVAL: the checker refuses it.
 */
struct bpf_classic_text;
int load_classic(struct fs_req *req, struct fs_node *dir, const struct bpf_classic_text *text,
		 mode_t umask, struct fs_text *report);

#endif
