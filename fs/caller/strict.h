/*
 * strict.h - whose programs are loaded strictly (-o strict)
 *
 * Such a program may not learn addresses, and the machine does not run ahead of its checks:
 * PROG_F_STRICT in core/prog.h. The mode is set before the state is read, and does not change.
 */
#ifndef UBPFFS_FS_CALLER_STRICT_H
#define UBPFFS_FS_CALLER_STRICT_H

#include <stdbool.h>
#include <sys/types.h>

struct bpf_prog;

enum strict_mode {
	STRICT_OFF,
	STRICT_USERS, /* of all users but root and who runs the server */
	STRICT_ALL,
};

void strict_set(enum strict_mode mode);
/* For prog_flags of a program that uid loads, or that is uid's when a start reads it. */
unsigned int strict_flags(uid_t uid);
/* May uid, whose program it is, read its native code, which has addresses in it? */
bool strict_shows_code(const struct bpf_prog *prog, uid_t uid);

#endif
