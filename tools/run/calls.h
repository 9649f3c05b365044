/*
 * calls.h - what programs that use bpf(2) also ask the kernel
 *
 * Each answers one trapped call when it is about BPF, and else answers nothing: the kernel then
 * does it, with its own look at the caller's memory and rights, so that no decision here gives any.
 */
#ifndef UBPFFS_TOOLS_RUN_CALLS_H
#define UBPFFS_TOOLS_RUN_CALLS_H

#include "tools/run/caller/caller.h"

void run_statfs(struct caller *c); /* f_type on the mount is BPF_FS_MAGIC */
void run_fstatfs(struct caller *c);
void run_mount_call(struct caller *c); /* a bpf mounts nothing where the mount is already */
void run_readlink(struct caller *c); /* /proc/self/fd/N: anon_inode:bpf-map, ... */
void run_readlinkat(struct caller *c);
void run_open(struct caller *c); /* /proc/self/fdinfo/N: map_type, prog_type, ... */
void run_openat(struct caller *c);
void run_prlimit(struct caller *c); /* memlock: nothing here is locked memory */
void run_setrlimit(struct caller *c);

#endif
