/*
 * caller.h - the thread whose system call is being answered: its memory, descriptors and names
 *
 * Memory is copied once, by the caller's own page rights, and what was copied is what is used. A
 * process that ends may have its number reused: each function asks the kernel, after it has got
 * hold of something, whether the call is still waiting (NOTIF_ID_VALID), and gives -ESRCH when it
 * is not; then nobody waits for the answer either. One thread at a time uses a struct caller.
 */
#ifndef UBPFFS_TOOLS_RUN_CALLER_CALLER_H
#define UBPFFS_TOOLS_RUN_CALLER_CALLER_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct caller {
	int listener;
	uint64_t id; /* of the notification */
	pid_t tid;
	struct seccomp_data data;
	bool answered;
	int given; /* the number of the descriptor that it was given, or -1 */
	int mem; /* its memory, as root, when it is not root's; or -1 */
};

#define CALLER_ARG(c, n) ((c)->data.args[n])

/* Before any other: what rights the supervisor itself has. -errno. */
int caller_init(void);

bool caller_waits(const struct caller *c);

/* Copies: 0, -EFAULT (not its memory), -ESRCH. To be written as the caller: caller_become(). */
int caller_read(struct caller *c, uint64_t addr, void *buf, size_t len);
int caller_write(struct caller *c, uint64_t addr, const void *buf, size_t len);
/* For who writes without having become the caller: the memory that it has now is written. */
int caller_hold_memory(struct caller *c);
/* A string with its NUL into buf of `size` bytes: its length, -EFAULT, or -ENAMETOOLONG. */
int caller_string(struct caller *c, uint64_t addr, char *buf, size_t size);
/* `len` bytes, malloc()ed, at most `max` (-E2BIG). 0 bytes: NULL. */
int caller_copy(struct caller *c, uint64_t addr, size_t len, size_t max, void **out);

/* A descriptor of ours of the caller's open file `fd`: -EBADF when it has none. */
int caller_fd(struct caller *c, int fd);

/*
 * Open what the caller calls `path`, in its root and from its directory `dirfd` (AT_FDCWD), as
 * caller_become() says. flags: open(2)'s.
 */
int caller_open(struct caller *c, int dirfd, const char *path, int flags);
/* The absolute path that it means, in its own root; nothing is resolved. */
int caller_absolute(struct caller *c, int dirfd, const char *path, char *out, size_t size);

/*
 * Act with the caller's file system ids and groups from here on, in this thread alone, until
 * caller_return(), which ends the process when its own cannot be had back. An ordinary user's
 * command cannot have others than the supervisor's. -EPERM: it is root with fewer capabilities, or
 * in another user namespace, than the supervisor.
 */
int caller_become(struct caller *c);
void caller_return(void);

/* Answer: give it a copy of `fd` as a new descriptor, whose number is returned. */
int caller_give(struct caller *c, int fd, bool cloexec);
/* The same without an answer. */
int caller_add(struct caller *c, int fd);
void caller_answer(struct caller *c, long ret); /* a value, or -errno */
void caller_go_on(struct caller *c); /* the kernel does the call */
void caller_end(struct caller *c); /* what was opened for it */

#endif
