/*
 * bench_bpf2.c - what a call of bpf(2) costs under ubpfctl run, and what it is beside
 *
 *	bench_bpf2 null		a system call that another process answers and does nothing for:
 *				what seccomp's notifications cost by themselves
 *	bench_bpf2 calls	bpf(2), to be run by ubpfctl run
 *	bench_bpf2 batch M	elements of batches by ioctls of the mount M
 *
 * It prints lines of a name and nanoseconds, of a call or of an element: the medians of rounds.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "uapi/ubpffs_client.h"
#include "util/clock.h"
#include "util/types.h"

#define ROUNDS	 51
#define ELEMENTS 100000u

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* `fn` does `n` of them a round; it is tried once before. */
static int measure(const char *name, int (*fn)(u32 n), u32 n)
{
	double samples[ROUNDS];

	if (fn(n)) {
		perror(name);
		return 1;
	}
	for (u32 i = 0; i < ROUNDS; i++) {
		u64 start = monotonic_ns();

		if (fn(n)) {
			perror(name);
			return 1;
		}
		samples[i] = (double)(monotonic_ns() - start) / n;
	}
	qsort(samples, ROUNDS, sizeof(samples[0]), compare);
	printf("%s %.2f\n", name, samples[ROUNDS / 2]);
	fflush(stdout);
	return 0;
}

/* ---- null */

static int null_calls(u32 n)
{
	while (n--)
		if (syscall(SYS_getppid) != 1)
			return -1;
	return 0;
}

static int listen_to_itself(void)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &prog);
}

static int answer_all(int listener)
{
	struct seccomp_notif notif;
	struct seccomp_notif_resp resp;
	u64 flags = 1; /* as the supervisor does: the two take turns on one CPU */

	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, &flags);
	for (;;) {
		memset(&notif, 0, sizeof(notif));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif))
			return errno == ENOENT || errno == EINTR ? 0 : 1;
		resp = (struct seccomp_notif_resp){.id = notif.id, .val = 1};
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

static int null_notification(void)
{
	int socks[2], status, listener, err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		return 1;
	pid = fork();
	if (!pid) {
		listener = listen_to_itself();
		if (listener < 0 || write(socks[1], &listener, sizeof(listener)) < 0)
			_exit(1);
		/* The parent takes it meanwhile, and answers. */
		_exit(measure("null", null_calls, 40));
	}
	close(socks[1]);
	if (read(socks[0], &listener, sizeof(listener)) != sizeof(listener))
		return 1;
	listener = (int)syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), listener, 0);
	err = listener < 0 ? 1 : answer_all(listener);
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return err ? WEXITSTATUS(status) : 0;
}

/* ---- calls */

static int map_fd;
static u64 *mapped;
static u64 own[1024];
static u32 keys[ELEMENTS];
static u64 values[ELEMENTS];

static int sys_bpf(int cmd, union bpf_attr *attr, u32 size)
{
	return (int)syscall(SYS_bpf, cmd, attr, size);
}

static int create(u32 type, u32 value_size, u32 max_entries, u32 flags)
{
	union bpf_attr attr = {.map_type = type,
			       .key_size = 4,
			       .value_size = value_size,
			       .max_entries = max_entries,
			       .map_flags = flags};

	return sys_bpf(BPF_MAP_CREATE, &attr, offsetof(union bpf_attr, map_flags) + 4);
}

static int element(int cmd, u32 n)
{
	u32 key = 7;
	u64 value = 7;
	union bpf_attr attr = {
		.map_fd = (u32)map_fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value};

	while (n--)
		if (sys_bpf(cmd, &attr, offsetof(union bpf_attr, flags) + 8))
			return -1;
	return 0;
}

static int lookups(u32 n)
{
	return element(BPF_MAP_LOOKUP_ELEM, n);
}

static int updates(u32 n)
{
	return element(BPF_MAP_UPDATE_ELEM, n);
}

static int batch_updates(u32 n)
{
	union bpf_attr attr = {.batch = {.map_fd = (u32)map_fd,
					 .keys = (uintptr_t)keys,
					 .values = (uintptr_t)values,
					 .count = n}};

	return sys_bpf(BPF_MAP_UPDATE_BATCH, &attr, sizeof(attr.batch));
}

static int batch_lookups(u32 n)
{
	u32 out;
	union bpf_attr attr = {.batch = {.map_fd = (u32)map_fd,
					 .keys = (uintptr_t)keys,
					 .values = (uintptr_t)values,
					 .out_batch = (uintptr_t)&out,
					 .count = n}};

	return sys_bpf(BPF_MAP_LOOKUP_BATCH, &attr, sizeof(attr.batch)) ? -1 : 0;
}

static int read_all(const u64 *from, u32 n)
{
	u64 sum = 0;

	for (u32 i = 0; i < n; i++)
		sum += __atomic_load_n(&from[i & 1023], __ATOMIC_RELAXED);
	__asm__ volatile("" ::"r"(sum));
	return 0;
}

static int mapped_reads(u32 n)
{
	return read_all(mapped, n);
}

static int own_reads(u32 n)
{
	return read_all(own, n);
}

static int calls(void)
{
	int array = create(BPF_MAP_TYPE_ARRAY, 8, 1024, BPF_F_MMAPABLE);

	mapped = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, array, 0);
	map_fd = create(BPF_MAP_TYPE_HASH, 8, 1000, 0);
	if (array < 0 || map_fd < 0 || mapped == MAP_FAILED || updates(1)) {
		perror("bpf");
		return 1;
	}
	if (measure("lookup", lookups, 40) || measure("update", updates, 40) ||
	    measure("mapped", mapped_reads, 1 << 20) || measure("own", own_reads, 1 << 20))
		return 1;
	map_fd = create(BPF_MAP_TYPE_HASH, 8, 2 * ELEMENTS, 0);
	for (u32 i = 0; i < ELEMENTS; i++)
		keys[i] = i;
	return measure("batch_update", batch_updates, ELEMENTS) ||
	       measure("batch_lookup", batch_lookups, ELEMENTS - 1);
}

/* ---- batch */

static int client_updates(u32 n)
{
	return ubpfc_update_batch(map_fd, keys, values, &n, BPF_ANY);
}

static int client_lookups(u32 n)
{
	unsigned long long cursor = 0;
	unsigned int cnt = n;

	return ubpfc_lookup_batch(map_fd, &cursor, keys, values, &cnt) && errno != ENOENT ? -1 : 0;
}

static int batch(const char *mount)
{
	if (ubpfc_mount(mount))
		return 1;
	map_fd = ubpfc_create_map(BPF_MAP_TYPE_HASH, 4, 8, 2 * ELEMENTS, 0);
	for (u32 i = 0; i < ELEMENTS; i++)
		keys[i] = i;
	return measure("ioctl_batch_update", client_updates, ELEMENTS) ||
	       measure("ioctl_batch_lookup", client_lookups, ELEMENTS);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "null"))
		return null_notification();
	if (argc == 2 && !strcmp(argv[1], "calls"))
		return calls();
	if (argc == 3 && !strcmp(argv[1], "batch"))
		return batch(argv[2]);
	fprintf(stderr, "usage: bench_bpf2 null|calls|batch MOUNT\n");
	return 2;
}
