/*
 * load_report.h - texts kept for who asked: each user's last load, and last run of each program
 *
 * Keyed by what (0: loads; else a program's id) and uid. Bounded: the one touched longest ago is
 * forgotten.
 */
#ifndef UBPFFS_FS_PROGS_LOAD_LOAD_REPORT_H
#define UBPFFS_FS_PROGS_LOAD_LOAD_REPORT_H

#include "fs/node/node.h"

#define REPORT_LOAD 0

/* Takes over text->buf. */
void report_set(u64 what, uid_t uid, struct fs_text *text);
void report_get(u64 what, uid_t uid, struct fs_text *out);

/*
 * A run that its writer has closed, but whose release has not come yet (the kernel sends it after
 * close() returned), or that is running: report_wait() waits for those, so that `cat run` after a
 * write shows the run that was asked for. A run that is not released within a moment is not waited
 * for: its writer still holds the file.
 */
enum report_state { REPORT_NONE, REPORT_CLOSED, REPORT_RUNNING };
void report_move(u64 what, uid_t uid, enum report_state from, enum report_state to);
void report_wait(u64 what, uid_t uid, const volatile bool *cancel);

#endif
