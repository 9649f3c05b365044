/*
 * filter.h - seccomp: a process makes the system calls of its lists, and no others
 *
 * A call that is on no list is ENOSYS, so that a libc that knows newer calls takes its older way;
 * one that is, but not with these arguments, is EPERM. The first refusal of each call is a line on
 * stderr, where people with another libc see which one is missing.
 *
 * It is inherited by threads and children and cannot be taken off. The caller has one thread; those
 * that it makes must not block SIGSYS, by which the kernel says what was refused.
 */
#ifndef UBPFFS_FS_SANDBOX_FILTER_H
#define UBPFFS_FS_SANDBOX_FILTER_H

#include <seccomp.h>
#include "util/types.h"

struct filter_rule {
	int nr;
	bool absent; /* ENOSYS without a line: libc asks for it and has another way */
	u32 nr_args;
	struct scmp_arg_cmp args[3]; /* all of them */
};

struct filter_list {
	const struct filter_rule *rules;
	u32 nr;
};

#define FILTER_LIST(rules) ((struct filter_list){rules, ARRAY_SIZE(rules)})

#define ALLOW(name)                  \
	{                            \
		.nr = SCMP_SYS(name) \
	}
#define ALLOW_IF(name, ...)                                               \
	{                                                                 \
		.nr = SCMP_SYS(name),                                     \
		.nr_args = sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / \
			   sizeof(struct scmp_arg_cmp),                   \
		.args = {__VA_ARGS__},                                    \
	}
#define ABSENT(name)                                 \
	{                                            \
		.nr = SCMP_SYS(name), .absent = true \
	}
#define ARG_IS(n, value)                 \
	{                                \
		n, SCMP_CMP_EQ, value, 0 \
	}
#define ARG_HAS(n, mask, bits)                    \
	{                                         \
		n, SCMP_CMP_MASKED_EQ, mask, bits \
	}

/*
 * What every process of ours does: it reads what is open, has memory, locks, clocks and signals of
 * its own, waits and ends.
 */
extern const struct filter_list filter_common;

/* No privileges can be gained any more, either. 0 or -errno: nothing has changed. */
int filter_enter(const struct filter_list *const *lists, u32 nr);

#endif
