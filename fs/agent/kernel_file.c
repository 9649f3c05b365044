/*
 * kernel_file.c - see kernel_file.h
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include "fs/agent/kernel_file.h"
#include "util/types.h"

int is_kernel_file(int fd)
{
	static const u32 types[] = {PROC_SUPER_MAGIC,	SYSFS_MAGIC,	    DEBUGFS_MAGIC,
				    TRACEFS_MAGIC,	SECURITYFS_MAGIC,   EFIVARFS_MAGIC,
				    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC};
	struct statfs sf;

	if (fstatfs(fd, &sf))
		return -errno;
	for (u32 i = 0; i < ARRAY_SIZE(types); i++)
		if ((u32)sf.f_type == types[i])
			return 1;
	return 0;
}
