/*
 * files.h - landlock: below which directories a process may open and change what
 *
 *	files_begin(&files)		-EOPNOTSUPP: this kernel has none (5.19 has it)
 *	files_allow(&files, path, FILES_READ)	any number of times
 *	files_enter(&files)		for good, also for children
 *
 * What is open already stays as it is, as does memory (memfd). Nothing is refused to chown(2),
 * chmod(2), stat(2) and their like, which landlock does not know: the filter of system calls leaves
 * root's server those of descriptors.
 * Sockets of others are not connected to by an abstract name, no TCP is spoken, and no signal sent
 * to a process outside, where the kernel can refuse that.
 */
#ifndef UBPFFS_FS_SANDBOX_FILES_H
#define UBPFFS_FS_SANDBOX_FILES_H

#include "util/types.h"

enum files_use {
	FILES_READ, /* files and lists of names */
	FILES_WRITE, /* that, and writing to files that are there */
	FILES_DIRS, /* that, and making and removing directories */
	FILES_ALL, /* regular files, directories and symbolic links: anything */
};

struct files {
	int fd;
	u64 handled;
};

int files_begin(struct files *files);
/* -errno; a path that nobody has is 0. */
int files_allow(struct files *files, const char *path, enum files_use use);
int files_allow_fd(struct files *files, int fd, enum files_use use);
/* Needs no_new_privs. -errno; the rules are let go in any case. */
int files_enter(struct files *files);

#endif
