/*
 * ubpffs_client.h - a mini eBPF client library: each function a thin call on a mounted ubpffs
 *
 * Every symbol begins with ubpfc_, so that a program may link libbpf as well. bpf_client.h gives
 * the same functions the names of the first bpf(2) sample library.
 *
 * Return values: a descriptor (the caller's, close-on-exec), 0 or a count on success; -1 with errno
 * on failure. The errno is the one that bpf(2) gives for the same fault, or one of the mount:
 * ENODEV (the caller has no ubpffs mounted), ENOTUNIQ (several: name one), ENOTCONN (its server is
 * gone), EINVAL (what was named is no ubpffs).
 *
 * The mount is the one that ubpfc_mount() names, else $UBPFFS_MOUNT, else the only one whose server
 * runs as the caller. The server of another user is used only when it is named.
 *
 * Threads: any thread may call any function at any time, but one thread at a time uses a struct
 * ubpfc_ring. A call that has begun stays on the mount that it began with. Memory that is passed in
 * is read or written during the call and never kept. Sizes are bytes.
 *
 * Source: where nothing else is said, a function is the command of bpf(2) that it is named after.
 */
#ifndef UBPFFS_CLIENT_H
#define UBPFFS_CLIENT_H

#include <linux/bpf.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UBPFC_LOG_SIZE 65536

/*
 * The verifier's log of this thread's last ubpfc_prog_load() when it was refused, NUL-terminated;
 * else "".
 */
extern __thread char ubpfc_log_buf[UBPFC_LOG_SIZE];

/* ---- the mount */

/*
 * Use the mount at `path` from now on; NULL: forget it, so that the next call looks for one again.
 * -1: errno of open(2), EINVAL (no ubpffs is there); then nothing changes.
 */
int ubpfc_mount(const char *path);

/*
 * The mount that is used, as an absolute path with its NUL, into buf of len bytes (ENAMETOOLONG).
 * Looks for one when none is used yet.
 */
int ubpfc_mount_path(char *buf, size_t len);

/*
 * Call fn for each mounted ubpffs that this process sees: its mount point (valid during the call),
 * and the uid that its server runs as. Ends when fn does not return 0; returns what fn returned
 * last, 0 without a mount, or -1: /proc/self/mounts cannot be read. No server is asked anything.
 */
typedef int (*ubpfc_mount_fn)(void *ctx, const char *path, unsigned int uid);
int ubpfc_each_mount(ubpfc_mount_fn fn, void *ctx);

/*
 * open(2) of a file of the mount, which is close-on-exec. `path` is relative to the mount; an
 * absolute one is EINVAL. Symbolic links are followed wherever they lead.
 */
int ubpfc_open(const char *path, int flags);

/*
 * Any command of ubpffs.h on a descriptor: `in` of in_len bytes is its payload; io->out_len the
 * room at `out`, then the size of the answer, which a command that fails may have, too. The other
 * fields of *io are the command's. A payload that no ioctl holds takes a transfer. E2BIG: more than
 * UBPFFS_XFER_MAX.
 */
struct ubpffs_io;
int ubpfc_command(int fd, unsigned int cmd, struct ubpffs_io *io, const void *in, size_t in_len,
		  void *out);

/* ---- maps */

/*
 * Make a map of max_entries elements; a descriptor. map_flags: BPF_F_* of bpf(2). The map lives
 * while a descriptor, a pin or a program holds it. EINVAL, E2BIG, EOPNOTSUPP (no such type here),
 * ENOMEM, EDQUOT (a limit of the caller's). Source: BPF_MAP_CREATE.
 */
int ubpfc_create_map(enum bpf_map_type map_type, int key_size, int value_size, int max_entries,
		     int map_flags);

/*
 * One element. `key` points to key_size bytes (NULL for maps without keys), `value` to value_size
 * bytes; for per-CPU types to one value for each possible CPU of the server's machine
 * (/sys/devices/system/cpu/possible), from CPU 0 on, each in a room of value_size rounded up to 8.
 * In slots of programs and maps a value is an id (__u32). A bloom filter is asked about *value.
 * ENOENT: no such key. EPERM: the descriptor or the map is not open for that. EFAULT: an argument
 * is missing. EINVAL, EOPNOTSUPP: the type has no such command.
 */
int ubpfc_lookup_elem(int fd, const void *key, void *value);
/* flags: BPF_F_LOCK, for values that have a lock. */
int ubpfc_lookup_elem_flags(int fd, const void *key, void *value, unsigned long long flags);
/* flags: BPF_ANY, BPF_NOEXIST (EEXIST), BPF_EXIST (ENOENT), BPF_F_LOCK. E2BIG: the map is full. */
int ubpfc_update_elem(int fd, const void *key, const void *value, unsigned long long flags);
/* ENOENT: no such key. EINVAL: an array. */
int ubpfc_delete_elem(int fd, const void *key);
/* What was taken out, of a queue or stack the next value; of hash types and those alone. */
int ubpfc_lookup_and_delete_elem(int fd, const void *key, void *value);

/*
 * The key after `key`, key_size bytes, into next_key, which may be `key`; `key` NULL or not in the
 * map: the first. ENOENT after the last.
 */
int ubpfc_get_next_key(int fd, const void *key, void *next_key);

/*
 * Up to *count elements from *cursor (0: the start) on, into arrays of *count keys and values, one
 * after another without gaps; *count says how many came, *cursor where to go on. -1 with ENOENT:
 * these are the last. An element that lives through the walk comes exactly once. EOPNOTSUPP: a map
 * without keys. Source: BPF_MAP_LOOKUP_BATCH, but that its cursor is a number.
 */
int ubpfc_lookup_batch(int fd, unsigned long long *cursor, void *keys, void *values,
		       unsigned int *count);
/*
 * Arrays of *count keys and values as above; *count says how many were done, also on failure, which
 * is the next one's: errno is as of the call for one element. E2BIG: more than 64 MiB.
 */
int ubpfc_update_batch(int fd, const void *keys, const void *values, unsigned int *count,
		       unsigned long long flags);
int ubpfc_delete_batch(int fd, const void *keys, unsigned int *count);

/* No more updates from outside of programs. EPERM: it is frozen. */
int ubpfc_freeze_map(int fd);

/* ---- programs */

/*
 * Verify and compile insn_len bytes of instructions; a descriptor. The program lives while a
 * descriptor, a pin, an attachment or a slot holds it, and holds its maps. LD_IMM64 with
 * BPF_PSEUDO_MAP_FD or BPF_PSEUDO_MAP_VALUE names maps by descriptor (EBADF, EINVAL: that is none),
 * at most 64 (E2BIG). EACCES, EINVAL, E2BIG: rejected, see ubpfc_log_buf. EOPNOTSUPP: no such type
 * here. EDQUOT: a limit of the caller's. Source: BPF_PROG_LOAD.
 */
int ubpfc_prog_load(enum bpf_prog_type prog_type, const struct bpf_insn *insns, int insn_len,
		    const char *license);

/*
 * Run `repeat` times (0: once) on a packet of `size` bytes. data_out may be NULL, and then
 * size_out; *size_out is its room, then the size (ENOSPC: it was too small, and what fits is
 * there). retval and duration (ns a run, averaged) may be NULL. EINVAL: no packet of this type;
 * EOPNOTSUPP: the type has no test run. Source: BPF_PROG_TEST_RUN.
 */
int ubpfc_prog_test_run(int prog_fd, int repeat, const void *data, unsigned int size,
			void *data_out, unsigned int *size_out, unsigned int *retval,
			unsigned int *duration);

/*
 * The map lives as long as the program, or the server, from now on. E2BIG: the program has 64.
 * Source: BPF_PROG_BIND_MAP.
 */
int ubpfc_prog_bind_map(int prog_fd, int map_fd);

/* ---- cgroups: directories of M/cgroup */

/*
 * Attach a program to the cgroup whose directory cgroup_fd is open on, and take it out again. type:
 * BPF_CGROUP_INET_INGRESS or _EGRESS. flags: 0, BPF_F_ALLOW_OVERRIDE, BPF_F_ALLOW_MULTI. A prog_fd
 * of -1 is the only program that is attached. EBADF: no cgroup; EPERM: one above does not allow it,
 * or it is attached otherwise; ENOENT: it is not attached; EACCES: the permission bits. Source:
 * BPF_PROG_ATTACH, BPF_PROG_DETACH.
 */
int ubpfc_prog_attach(int prog_fd, int cgroup_fd, enum bpf_attach_type type, unsigned int flags);
int ubpfc_prog_detach(int prog_fd, int cgroup_fd, enum bpf_attach_type type);

/*
 * The same as with BPF_F_ALLOW_MULTI, until the last descriptor of the link, which is returned, and
 * its last pin have gone. Another program may take the place of its own; old_prog_fd: which that
 * has to be (EPERM), or -1. A detached link stays, and does nothing. Source: BPF_LINK_CREATE,
 * BPF_LINK_UPDATE, BPF_LINK_DETACH.
 */
int ubpfc_link_create(int prog_fd, int cgroup_fd, enum bpf_attach_type type);
int ubpfc_link_update(int link_fd, int new_prog_fd, int old_prog_fd);
int ubpfc_link_detach(int link_fd);

/* ---- objects */

/*
 * info is struct bpf_map_info, bpf_prog_info, bpf_btf_info or bpf_link_info, as the descriptor is;
 * *len its room, then what the server filled. Pointers in it are not followed, and come back 0.
 */
int ubpfc_obj_get_info_by_fd(int fd, void *info, unsigned int *len);

/*
 * A pin, and a descriptor of what is pinned. path: absolute below the mount (EPERM elsewhere), or
 * relative to it. It does not leave the mount: a symbolic link or ".." that leads out of it is
 * EXDEV. EEXIST: the name is taken; ENOENT: a directory of the path, or the pin, is not there;
 * EACCES: the permission bits.
 */
int ubpfc_obj_pin(int fd, const char *path);
int ubpfc_obj_get(const char *path);

/* A descriptor. ENOENT: no such object; EACCES: the caller may not read and write it. */
int ubpfc_map_get_fd_by_id(unsigned int id);
int ubpfc_prog_get_fd_by_id(unsigned int id);
/* The lowest id above start_id into *next_id. ENOENT: none. */
int ubpfc_map_get_next_id(unsigned int start_id, unsigned int *next_id);
int ubpfc_prog_get_next_id(unsigned int start_id, unsigned int *next_id);

/* ---- ring buffers */

/*
 * The consumer of a ring buffer, through its memory: no call of the server a record. One consumer
 * of a ring at a time (this one, or a reader of the map's `records`). The caller must be able to
 * read and write the map. Where the server has no passthrough (it is not root), the caller must be
 * the server's user. Source: the ring's layout in the kernel's Documentation/bpf/ringbuf.rst.
 */
struct ubpfc_ring;
/* 0: go on. `data` of `size` bytes, aligned to 8, is valid until it returns. */
typedef int (*ubpfc_ring_fn)(void *ctx, const void *data, size_t size);

/*
 * The caller's (ubpfc_ring_close()), or NULL with errno: EINVAL: no ring buffer; EACCES. Keeps a
 * copy of the descriptor.
 */
struct ubpfc_ring *ubpfc_ring_open(int map_fd);
/*
 * Call fn for each committed record in order, until there are none or fn does not return 0; a
 * record is given back when fn has returned. How many, or -1 (EBADMSG: somebody else wrote the
 * position).
 */
long ubpfc_ring_consume(struct ubpfc_ring *ring, ubpfc_ring_fn fn, void *ctx);
/*
 * 1 when there is something, 0 after timeout_ms (-1: wait for ever), -1 (ENOTCONN: the server is
 * gone; what it left can still be consumed, and after its restart the ring is opened anew).
 */
int ubpfc_ring_wait(const struct ubpfc_ring *ring, int timeout_ms);
int ubpfc_ring_fd(const struct ubpfc_ring *ring); /* borrowed, for poll(2) and epoll(7) */
void ubpfc_ring_close(struct ubpfc_ring *ring); /* NULL: nothing */

#ifdef __cplusplus
}
#endif
#endif
