/*
 * fsck.h - a state directory is checked without a server
 *
 * The same start as a server's, with its problems collected and not only said; then what a start
 * lets pass. What is sound is put right, what is damaged goes to lost+found/ (store/names/
 * lost_found.h), and what is neither stays. `look`: nothing in the directory is changed.
 * `ubpfctl fsck` calls the server with it.
 */
#ifndef UBPFFS_FS_FSCK_H
#define UBPFFS_FS_FSCK_H

#include <stdbool.h>

/* As fsck(8). */
enum fsck_status {
	FSCK_CLEAN = 0,
	FSCK_REPAIRED = 1,
	FSCK_LEFT = 4,
	FSCK_ERROR = 8,
};

int fsck(const char *state, bool look, bool json);

#endif
