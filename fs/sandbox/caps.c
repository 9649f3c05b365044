/*
 * caps.c - see caps.h
 */
#include "fs/sandbox/caps.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int drop_bounding(u64 keep)
{
	/* EINVAL: a capability that this kernel does not have. */
	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	return 0;
}

static int drop(u64 keep)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (u32 i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (u32)(keep >> 32 * i);
		data[i].effective &= (u32)(keep >> 32 * i);
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* In a container root may have no right to drop what it does not have: CAP_SETPCAP. */
int caps_keep(u64 keep)
{
	int err = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return -errno;
	if (prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) == 1)
		err = drop_bounding(keep);
	return err && err != -EPERM ? err : drop(keep);
}
