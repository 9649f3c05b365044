/*
 * run.h - the run files of a program and of a cgroup: a test run as a transaction on one open file
 */
#ifndef UBPFFS_FS_PROGS_RUN_H
#define UBPFFS_FS_PROGS_RUN_H

#include "cgroup/cgroup.h"
#include "fs/node/node.h"

extern const struct fs_node_ops run_ops; /* of the program of the directory */

/* The same for what is effective in a cgroup, whose reference is taken over also on failure. */
int run_open_cgroup(struct fs_open *open, struct cgroup *cgrp, enum cgroup_bpf_attach_type type);
ssize_t run_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
ssize_t run_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len, off_t off);
int run_flush(struct fs_open *open, struct fs_req *req);
enum limit run_is_long(struct fs_open *open, enum job_what what);
void run_release(struct fs_open *open);
void run_keep(struct fs_open *open, struct kept *kept);
void run_restore(struct fs_open *open, const struct kept *kept);

#endif
