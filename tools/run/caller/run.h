/*
 * run.h - ubpfctl run: a command whose bpf(2) calls are answered by a mounted ubpffs
 *
 * Processes: ubpfctl itself (waits for the command and ends as it ended), the supervisor, and the
 * command. The supervisor is the command's parent and, for what the command leaves behind, its
 * reaper: so Yama lets it read their memory, and it ends with the last of them. It holds the
 * listener of a seccomp filter that the command installed on itself; when it is gone, the calls
 * that the filter traps are ENOSYS, and nobody waits.
 */
#ifndef UBPFFS_TOOLS_RUN_CALLER_RUN_H
#define UBPFFS_TOOLS_RUN_CALLER_RUN_H

#include <stdbool.h>
#include <sys/types.h>

struct run_mount {
	const char *path; /* the mount point, absolute */
	int fd; /* O_PATH of it */
	dev_t dev; /* its files are known by this */
	bool at_sys_fs_bpf; /* the command sees it there, too */
};
extern struct run_mount run_mount;

#define SYS_FS_BPF "/sys/fs/bpf"

/*
 * Run argv with `mount` in place of the kernel's BPF; verbose: a line for each bpf(2) call on
 * standard error. The exit status: the command's (128 + N when signal N ended it), 126 and 127 as a
 * shell's, 1 when it could not be begun (said on standard error).
 */
int run_command(const char *mount, char **argv, bool verbose);

#endif
