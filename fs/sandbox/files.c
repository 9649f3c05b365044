/*
 * files.c - see files.h
 *
 * The system's header may be older than the kernel, so what it need not have is declared here, from
 * landlock(7).
 */
#include "fs/sandbox/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#define FS_REFER     (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE  (1ULL << 14) /* 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define FS_FIRST     ((1ULL << 13) - 1) /* 1 */
#define NET_TCP	     3ULL /* 4: bind and connect */
#define SCOPED	     3ULL /* 6: abstract sockets, signals */

/* Before ABI 2 no file can be renamed to or linked in another directory at all. */
#define ABI_MIN 2

struct ruleset {
	u64 fs, net, scoped;
};

#define READ	  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define OF_FILES  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define USE_READ  READ
#define USE_WRITE (USE_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define USE_DIRS  (USE_WRITE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define USE_ALL                                                                 \
	(USE_DIRS | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_REFER)

int files_begin(struct files *files)
{
	struct ruleset rules = {.fs = FS_FIRST | FS_REFER};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < ABI_MIN)
		return -EOPNOTSUPP;
	if (abi >= 3)
		rules.fs |= FS_TRUNCATE;
	if (abi >= 4)
		rules.net = NET_TCP;
	if (abi >= 5)
		rules.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		rules.scoped = SCOPED;
	files->handled = rules.fs;
	files->fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	return files->fd < 0 ? -errno : 0;
}

int files_allow_fd(struct files *files, int fd, enum files_use use)
{
	static const u64 uses[] = {
		[FILES_READ] = USE_READ,
		[FILES_WRITE] = USE_WRITE,
		[FILES_DIRS] = USE_DIRS,
		[FILES_ALL] = USE_ALL,
	};
	struct landlock_path_beneath_attr rule = {uses[use] & files->handled, fd};
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES;
	return syscall(SYS_landlock_add_rule, files->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0)
		       ? -errno
		       : 0;
}

int files_allow(struct files *files, const char *path, enum files_use use)
{
	int fd = open(path, O_PATH | O_CLOEXEC), err;

	if (fd < 0) /* nor will it be opened later */
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	err = files_allow_fd(files, fd, use);
	close(fd);
	return err;
}

int files_enter(struct files *files)
{
	int err = syscall(SYS_landlock_restrict_self, files->fd, 0) ? -errno : 0;

	close(files->fd);
	files->fd = -1;
	return err;
}
