/*
 * strict.c - see strict.h
 */
#include <unistd.h>
#include "core/prog.h"
#include "fs/caller/strict.h"

static enum strict_mode strict_mode;

void strict_set(enum strict_mode mode)
{
	strict_mode = mode;
}

static bool is_trusted(uid_t uid)
{
	return !uid || uid == geteuid();
}

unsigned int strict_flags(uid_t uid)
{
	bool strict = strict_mode == STRICT_ALL ||
		      (strict_mode == STRICT_USERS && !is_trusted(uid));

	return strict ? PROG_F_STRICT : 0;
}

bool strict_shows_code(const struct bpf_prog *prog, uid_t uid)
{
	return !(prog->prog_flags & PROG_F_STRICT) || is_trusted(uid);
}
