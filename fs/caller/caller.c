/*
 * caller.c - see caller.h
 *
 * uid 0 is let through as CAP_DAC_OVERRIDE would. /proc/PID/status gives what a FUSE request does
 * not carry (groups, umask); the caller is blocked in its request meanwhile, so the pid is its. Of
 * an open file the groups are the opener's (fs_open_keep_groups()), and /proc is not asked.
 */
#include "fs/caller/caller.h"

#include <stdio.h>
#include <unistd.h>

/* The text after "Name:" in /proc/PID/status; true when it is there. */
static bool status_line(pid_t pid, const char *name, char *buf, size_t len)
{
	char path[64];
	size_t n = strlen(name);
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(buf, len, f))
		found = !strncmp(buf, name, n);
	fclose(f);
	if (found)
		memmove(buf, buf + n, strlen(buf + n) + 1);
	return found;
}

mode_t perm_umask(const struct fs_cred *cred)
{
	char buf[256];

	if (!status_line(cred->pid, "Umask:", buf, sizeof(buf)))
		return 022;
	return strtoul(buf, NULL, 8) & 0777;
}

struct fs_groups *perm_groups(const struct fs_cred *cred)
{
	static const size_t room = 1 << 20; /* 65,536 groups are at most 720 KiB of text */
	struct fs_groups *groups = NULL, *more;
	char *p, *end;
	__do_free char *buf = malloc(room);
	u32 cap = 0;

	if (!buf)
		return NULL;
	if (!status_line(cred->pid, "Groups:", buf, room))
		buf[0] = 0;
	for (p = buf;; p = end) {
		unsigned long v = strtoul(p, &end, 10);

		if (!groups || groups->nr == cap) {
			cap = cap * 2 + 8;
			more = realloc(groups, sizeof(*groups) + cap * sizeof(groups->gid[0]));
			if (!more) {
				free(groups);
				return NULL;
			}
			if (!groups)
				more->nr = 0;
			groups = more;
		}
		if (end == p)
			return groups;
		groups->gid[groups->nr++] = v;
	}
}

static bool holds_group(const struct fs_groups *groups, gid_t gid)
{
	for (u32 i = 0; i < groups->nr; i++)
		if (groups->gid[i] == gid)
			return true;
	return false;
}

bool perm_in_group(const struct fs_cred *cred, gid_t gid)
{
	struct fs_groups *now;
	bool in;

	if (cred->gid == gid)
		return true;
	if (cred->groups)
		return holds_group(cred->groups, gid);
	now = perm_groups(cred);
	in = now && holds_group(now, gid);
	free(now);
	return in;
}

int perm_check(const struct fs_cred *cred, const struct stat *st, int mask)
{
	mode_t bits = st->st_mode;

	if (!cred->uid)
		return 0;
	if (cred->uid == st->st_uid)
		bits >>= 6;
	else if (perm_in_group(cred, st->st_gid))
		bits >>= 3;
	return (bits & mask) == mask ? 0 : -EACCES;
}
