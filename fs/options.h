/*
 * options.h - the options of the server's command line
 */
#ifndef UBPFFS_FS_OPTIONS_H
#define UBPFFS_FS_OPTIONS_H

#include <stdbool.h>
#include <fuse_opt.h>
#include "fs/caller/strict.h"

enum enforce_mode {
	ENFORCE_NOT,
	ENFORCE_FAIL_OPEN,
	ENFORCE_FAIL_CLOSED,
};

enum keeper_mode {
	KEEPER_ON, /* a server that dies is followed by another */
	KEEPER_OFF,
	KEEPER_SERVER, /* a keeper has started this program: as the next server */
	KEEPER_PROBE, /* ... as a probe (keeper/upgrade.h) */
};

enum fsck_mode {
	FSCK_NOT,
	FSCK_REPAIR, /* no mount: the state is checked (fsck.h), and put right */
	FSCK_LOOK,
};

struct options {
	char *state;
	char *mountpoint; /* absolute */
	bool foreground;
	int allow_other, trust_others, owner_only;
	int keeper; /* enum keeper_mode */
	int enforce; /* enum enforce_mode */
	char *enforce_cgroup;
	int sandbox_off; /* sandbox.h */
	int fsck; /* enum fsck_mode */
	int fsck_json;
	int durable; /* enum durable (store/state/durable.h) */
	int perf_map; /* perf_map.h */
	int strict; /* enum strict_mode */
	char *btf; /* the kernel's types, for CO-RE; NULL: those of the running kernel */
	char *plain[2]; /* the mount point; from mount(8): a source, then the mount point */
	struct fuse_args args; /* libfuse's own */
	struct fuse_args given; /* as they were given: libfuse takes its own out of `args` */
};

/*
 * 0: go on. Else the message or the help is printed, and *status is what the process exits
 * with.
 * `state` is not chosen yet: that may make a directory.
 */
int options_parse(struct options *options, int argc, char **argv, int *status);
/* Before the state is opened, and after nothing else can fail. False: stderr says why. */
bool options_choose_state(struct options *options);
/*
 * With the state chosen: what says the same to another version of this program, in any directory,
 * for keeper/upgrade.h. -ENOMEM.
 */
int options_again(const struct options *options, struct fuse_args *out);
void options_free(struct options *options);

#endif
