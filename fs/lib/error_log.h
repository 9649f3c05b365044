/*
 * error_log.h - each user's last errors, which M/log shows
 *
 * Text for each uid that only grows, so that tail -f prints what comes, until it is full: then its
 * older half goes, which tail says. Bounded twice: bytes a uid, and uids (the one that failed
 * longest ago is forgotten first). One mutex; nothing is taken under it.
 */
#ifndef UBPFFS_FS_LIB_ERROR_LOG_H
#define UBPFFS_FS_LIB_ERROR_LOG_H

#include <sys/types.h>
#include "text/text.h"

/* `path` in the mount, `op` that failed with `err`, and why. */
void error_log_add(uid_t uid, const char *path, const char *op, int err, const char *why);
void error_log_print(uid_t uid, struct fs_text *out);

/* What happens to the server itself: a line on stderr, and in the log of the server's user. */
void fs_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Whoever is no server gets them instead. */
extern void (*fs_warned)(const char *why);

#endif
