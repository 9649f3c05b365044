/*
 * sandbox.c - see sandbox.h
 */
#include "fs/sandbox.h"
#include "util/types.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const u8 kept[] = {
	CAP_CHOWN, /* what users make in the state is theirs */
	CAP_FOWNER,
	CAP_FSETID, /* chmod(2) of that, and setgid directories */
	CAP_DAC_OVERRIDE, /* names in their directories; the host's cgroups */
	CAP_DAC_READ_SEARCH, /* which of the host's cgroups a number is (open_by_handle_at(2)) */
	CAP_SYS_ADMIN, /* mount, umount; passthrough of the files of maps */
	CAP_SYS_PTRACE, /* in which namespace a caller's number is his (/proc/PID/ns) */
	CAP_KILL, /* is a process of another user's there? */
	CAP_NET_ADMIN, /* nftables and NFQUEUE */
	CAP_NET_RAW, /* packets of an interface */
	CAP_IPC_LOCK, /* buffers of perf events */
	CAP_SYS_NICE, /* a thread that had much is slowed down, and then is not any more */
};

static u64 kept_mask(void)
{
	u64 mask = 0;

	for (u32 i = 0; i < ARRAY_SIZE(kept); i++)
		mask |= 1ULL << kept[i];
	return mask;
}

static int drop_bounding(u64 mask)
{
	/* EINVAL: a capability that this kernel does not have. */
	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(mask >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return -errno;
	return 0;
}

static int drop_caps(u64 mask)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (u32 i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (u32)(mask >> 32 * i);
		data[i].effective &= (u32)(mask >> 32 * i);
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* In a container root may have no right to drop what it does not have: CAP_SETPCAP. */
int sandbox_enter(void)
{
	u64 mask = kept_mask();
	int err = 0;

	if (geteuid())
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL))
		return -errno;
	if (prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) == 1)
		err = drop_bounding(mask);
	return err && err != -EPERM ? err : drop_caps(mask);
}
