/*
 * image.h - a loaded program as a file: what the store keeps, and what a restart loads again
 *
 * Holds the instructions as loaded (BPF_PSEUDO_MAP_IDX form), the ids of the maps, type, names,
 * license, BTF, the classic filter that they were converted from (which is what is loaded again),
 * func and line info; never native code or a verdict: a program that is read back is verified
 * again.
 */
#ifndef UBPFFS_OBJECT_IMAGE_H
#define UBPFFS_OBJECT_IMAGE_H

#include "core/prog.h"

#define BPF_IMAGE_MAGIC 0x676d6966667062ULL /* "bpffimg" */

/* A complete image in a malloc()ed block. -ENOMEM, -EFBIG. */
int bpf_image_make(const struct bpf_prog *prog, void **data, size_t *size);
/* Write one to fd at offset 0. 0 or -errno of write. */
int bpf_image_write(int fd, const struct bpf_prog *prog);

struct bpf_image {
	struct bpf_prog_load_attr attr; /* maps and btf: NULL; map_cnt is set */
	u32 *map_ids;
	void *btf_data;
	u32 btf_size;
	bool knows_strict; /* else it was written by who had no such mode */
	void *storage; /* owns what attr points to */
};

/* Read and check an image. -EBADMSG when it is not one, or damaged (it carries a checksum). */
int bpf_image_read(int fd, struct bpf_image *out);
/* The same of bytes, which are copied. */
int bpf_image_parse(const void *data, size_t size, struct bpf_image *out);
void bpf_image_free(struct bpf_image *image);

#endif
