/*
 * bpf_client.h - a mini eBPF client library: each function a thin call on a mounted ubpffs
 *
 * The names and signatures are those of the first bpf(2) sample library. Functions return a descriptor, 0 or a count on
 * success and -1 with errno on failure. Any thread may call them.
 *
 * The mount is the one that bpf_client_mount() names, else $UBPFFS_MOUNT, else the first ubpffs in
 * /proc/self/mountinfo.
 */
#ifndef UBPFFS_BPF_CLIENT_H
#define UBPFFS_BPF_CLIENT_H

#include <linux/bpf.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LOG_BUF_SIZE 65536

/* The verifier's log of this thread's last bpf_prog_load(); "" when there was nothing to say. */
extern __thread char bpf_log_buf[LOG_BUF_SIZE];

/* Use this mount from now on; NULL: forget it and let it go. 0, or -1: not a ubpffs (EINVAL), or open(2)'s errno. */
int bpf_client_mount(const char *path);
/* open(2) of a file of the mount, with O_CLOEXEC; path: below the mount, without a leading slash. */
int bpf_client_open(const char *path, int flags);

/* Make a map; its descriptor is the caller's. E2BIG, EINVAL, ENOTSUP as BPF_MAP_CREATE. */
int bpf_create_map(enum bpf_map_type map_type, int key_size, int value_size, int max_entries,
		   int map_flags);

/* `key` is key_size bytes, `value` value_size bytes (per-CPU types: all CPUs', 8-byte aligned). */
int bpf_lookup_elem(int fd, const void *key, void *value);
/* flags: BPF_F_LOCK, for values that have a lock. */
int bpf_lookup_elem_flags(int fd, const void *key, void *value, unsigned long long flags);
int bpf_update_elem(int fd, const void *key, const void *value, unsigned long long flags);
int bpf_delete_elem(int fd, const void *key);
int bpf_lookup_and_delete_elem(int fd, const void *key, void *value);

/* key NULL or not in the map: the first key. ENOENT after the last. */
int bpf_get_next_key(int fd, const void *key, void *next_key);

/*
 * Up to *count entries from *cursor (0: the start) on; *count says how many came. -1 with ENOENT: these are the last.
 * keys and values hold *count elements each.
 */
int bpf_lookup_batch(int fd, unsigned long long *cursor, void *keys, void *values,
		     unsigned int *count);
/* *count says how many were done, also on failure. */
int bpf_update_batch(int fd, const void *keys, const void *values, unsigned int *count,
		     unsigned long long flags);
int bpf_delete_batch(int fd, const void *keys, unsigned int *count);
int bpf_freeze_map(int fd);

/*
 * Verify and compile. insn_len in bytes. LD_IMM64 with BPF_PSEUDO_MAP_FD names maps by descriptor. EACCES or EINVAL:
 * rejected, see bpf_log_buf.
 */
int bpf_prog_load(enum bpf_prog_type prog_type, const struct bpf_insn *insns, int insn_len,
		  const char *license);

/*
 * Run `repeat` times on a packet. data_out may be NULL; *size_out is its room, then the size (ENOSPC: it was too small).
 * retval and duration (ns a run) may be NULL.
 */
int bpf_prog_test_run(int prog_fd, int repeat, const void *data, unsigned int size, void *data_out,
		      unsigned int *size_out, unsigned int *retval, unsigned int *duration);

/* info is struct bpf_map_info or struct bpf_prog_info; *len its room, then what the server filled. */
int bpf_obj_get_info_by_fd(int fd, void *info, unsigned int *len);

/* path: absolute below the mount, or relative to it. */
int bpf_obj_pin(int fd, const char *path);
int bpf_obj_get(const char *path);
int bpf_map_get_fd_by_id(unsigned int id);
int bpf_prog_get_fd_by_id(unsigned int id);
/* The lowest id above start_id. ENOENT: none. */
int bpf_map_get_next_id(unsigned int start_id, unsigned int *next_id);
int bpf_prog_get_next_id(unsigned int start_id, unsigned int *next_id);

/*
 * The consumer of a ring buffer, through its memory: no call of the server a record. One consumer of a ring at a time
 * (this one, or a reader of the map's `records`); one thread uses a struct bpf_ring. The caller must be able to read and
 * write the map. Where the server has no passthrough (it is not root), the caller must be the server's user.
 *
 * open: NULL with errno (EINVAL: no ring buffer). consume: calls fn for each committed record in order until there are
 * none, or fn does not return 0; the record is given back when fn has returned. How many, or -1 (EBADMSG: somebody else
 * wrote the position). wait: 1 when there is something, 0 after timeout_ms (-1: for ever), -1 (ENOTCONN: the
 * server is gone; what it left can still be consumed, and after its restart the ring is opened anew). fd: for epoll.
 */
struct bpf_ring;
typedef int (*bpf_ring_fn)(void *ctx, const void *data, size_t size);
struct bpf_ring *bpf_ring_open(int map_fd);
long bpf_ring_consume(struct bpf_ring *ring, bpf_ring_fn fn, void *ctx);
int bpf_ring_wait(const struct bpf_ring *ring, int timeout_ms);
int bpf_ring_fd(const struct bpf_ring *ring);
void bpf_ring_close(struct bpf_ring *ring);

#ifdef __cplusplus
}
#endif
#endif
