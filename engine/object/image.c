/*
 * image.c - a loaded program as a file
 *
 * A header of fixed size, then the parts one after the other in the order of enum image_part, each
 * at an 8-byte boundary. The header holds the checksum (xxh64) of everything else, so a file that
 * was cut or damaged is -EBADMSG and never half a program. The checksum finds accidents, not
 * attacks: every size, string and index is checked again when it is read. Written in the machine's
 * byte order: an image belongs to the store of one machine.
 */
#include <linux/filter.h>
#include <stdio.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "btf/btf.h"
#include "object/image.h"
#include "util/write_all.h"

/* 2: classic instructions; 3: PROG_F_STRICT, or not, is how it was loaded. */
#define IMAGE_VERSION	  3
#define IMAGE_VERSION_OLD 2
#define IMAGE_MAX	  (256u << 20)

enum image_part {
	PART_INSNS,
	PART_MAP_IDS,
	PART_FUNC_INFO,
	PART_LINE_INFO,
	PART_BTF,
	PART_CLASSIC,
	PART_CNT,
};

static const u32 part_elem[PART_CNT] = {
	sizeof(struct bpf_insn),      sizeof(u32), sizeof(struct bpf_func_info),
	sizeof(struct bpf_line_info), 1,	   sizeof(struct sock_filter),
};

struct image_header {
	u64 magic;
	u64 checksum; /* of what follows this field, to the end of the file */
	u32 version;
	u32 size; /* of the whole file */
	u32 prog_type, attach_type, prog_flags, id;
	u32 cnt[PART_CNT]; /* elements */
	char name[64], license[64];
};

#define CHECKED_FROM (offsetof(struct image_header, checksum) + sizeof(u64))

/* ---- writing */

static u64 part_bytes(enum image_part part, u32 cnt)
{
	return round_up((u64)cnt * part_elem[part], 8);
}

static u64 image_size(const u32 *cnt)
{
	u64 size = sizeof(struct image_header);

	for (int i = 0; i < PART_CNT; i++)
		size += part_bytes(i, cnt[i]);
	return size;
}

static void fill_header(struct image_header *h, const struct bpf_prog *prog, u32 btf_size)
{
	h->magic = BPF_IMAGE_MAGIC;
	h->version = IMAGE_VERSION;
	h->prog_type = prog->type;
	h->attach_type = prog->expected_attach_type;
	h->prog_flags = prog->prog_flags;
	h->id = prog->id;
	h->cnt[PART_INSNS] = prog->orig_len;
	h->cnt[PART_MAP_IDS] = bpf_prog_nr_maps(prog);
	h->cnt[PART_FUNC_INFO] = prog->func_info_cnt;
	h->cnt[PART_LINE_INFO] = prog->line_info_cnt;
	h->cnt[PART_BTF] = btf_size;
	h->cnt[PART_CLASSIC] = prog->classic_len;
	memcpy(h->name, prog->name, sizeof(h->name));
	memcpy(h->license, prog->license, sizeof(h->license));
}

static u8 *put_part(u8 *at, enum image_part part, const void *data, u32 cnt)
{
	if (cnt)
		memcpy(at, data, (size_t)cnt * part_elem[part]);
	return at + part_bytes(part, cnt);
}

int bpf_image_make(const struct bpf_prog *prog, void **data, size_t *size_out)
{
	u8 *buf;
	struct image_header h = {0};
	const void *btf = NULL;
	u32 btf_size = 0;
	u64 size;
	u8 *at;

	if (prog->btf)
		btf = bpf_btf_raw(prog->btf, &btf_size);
	fill_header(&h, prog, btf ? btf_size : 0);
	size = image_size(h.cnt);
	if (size > IMAGE_MAX)
		return -EFBIG;
	h.size = size;
	buf = calloc(1, size);
	if (!buf)
		return -ENOMEM;
	at = put_part(buf + sizeof(h), PART_INSNS, prog->orig_insns, h.cnt[PART_INSNS]);
	for (u32 i = 0; i < h.cnt[PART_MAP_IDS]; i++)
		memcpy(at + i * sizeof(u32), &prog->used_maps[i]->id, sizeof(u32));
	at += part_bytes(PART_MAP_IDS, h.cnt[PART_MAP_IDS]);
	at = put_part(at, PART_FUNC_INFO, prog->func_info, h.cnt[PART_FUNC_INFO]);
	at = put_part(at, PART_LINE_INFO, prog->line_info, h.cnt[PART_LINE_INFO]);
	at = put_part(at, PART_BTF, btf, h.cnt[PART_BTF]);
	put_part(at, PART_CLASSIC, prog->classic, h.cnt[PART_CLASSIC]);
	memcpy(buf, &h, sizeof(h));
	h.checksum = XXH64(buf + CHECKED_FROM, size - CHECKED_FROM, BPF_IMAGE_MAGIC);
	memcpy(buf, &h, sizeof(h));
	*data = buf;
	*size_out = size;
	return 0;
}

int bpf_image_write(int fd, const struct bpf_prog *prog)
{
	__do_free void *data = NULL;
	size_t size;
	int err = bpf_image_make(prog, &data, &size);

	if (!err)
		err = pwrite_all(fd, data, size, 0);
	return !err && ftruncate(fd, (off_t)size) ? -errno : err;
}

/* ---- reading */

static int read_file(int fd, u8 **out, size_t *size)
{
	__do_free u8 *buf = NULL;
	struct stat st;
	size_t done = 0;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < (off_t)sizeof(struct image_header) || st.st_size > IMAGE_MAX)
		return -EBADMSG;
	buf = malloc(st.st_size);
	if (!buf)
		return -ENOMEM;
	while (done < (size_t)st.st_size) {
		ssize_t n = pread(fd, buf + done, st.st_size - done, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		done += n;
	}
	*size = done;
	*out = move_ptr(buf);
	return 0;
}

static bool header_valid(const struct image_header *h, const u8 *buf, size_t size)
{
	return h->magic == BPF_IMAGE_MAGIC &&
	       (h->version == IMAGE_VERSION || h->version == IMAGE_VERSION_OLD) &&
	       h->size == size &&
	       h->checksum == XXH64(buf + CHECKED_FROM, size - CHECKED_FROM, BPF_IMAGE_MAGIC) &&
	       h->cnt[PART_INSNS] && h->cnt[PART_INSNS] <= BPF_COMPLEXITY_LIMIT_INSNS &&
	       h->cnt[PART_CLASSIC] <= BPF_MAXINSNS &&
	       h->cnt[PART_MAP_IDS] <= IMAGE_MAX / sizeof(u32) &&
	       memchr(h->name, 0, sizeof(h->name)) && memchr(h->license, 0, sizeof(h->license)) &&
	       image_size(h->cnt) == size;
}

/*
 * Takes the buffer over, also on failure. The parts stay where they are in it, which is aligned for
 * all of them.
 */
static int parse(u8 *buf, size_t size, struct bpf_image *out)
{
	struct bpf_prog_load_attr *attr = &out->attr;
	const struct image_header *h;
	u8 *part[PART_CNT];

	h = (const struct image_header *)buf;
	if (!header_valid(h, buf, size)) {
		free(buf);
		return -EBADMSG;
	}
	part[0] = buf + sizeof(*h);
	for (int i = 1; i < PART_CNT; i++)
		part[i] = part[i - 1] + part_bytes(i - 1, h->cnt[i - 1]);
	out->storage = buf;
	out->knows_strict = h->version >= IMAGE_VERSION;
	attr->prog_type = h->prog_type;
	attr->expected_attach_type = h->attach_type;
	attr->prog_flags = h->prog_flags;
	attr->id = h->id;
	attr->name = h->name;
	attr->license = h->license;
	attr->insns = (const struct bpf_insn *)part[PART_INSNS];
	attr->insn_cnt = h->cnt[PART_INSNS];
	attr->classic = (const struct sock_filter *)part[PART_CLASSIC];
	attr->classic_len = h->cnt[PART_CLASSIC];
	attr->map_cnt = h->cnt[PART_MAP_IDS];
	attr->func_info = (const struct bpf_func_info *)part[PART_FUNC_INFO];
	attr->func_info_cnt = h->cnt[PART_FUNC_INFO];
	attr->line_info = (const struct bpf_line_info *)part[PART_LINE_INFO];
	attr->line_info_cnt = h->cnt[PART_LINE_INFO];
	out->map_ids = (u32 *)part[PART_MAP_IDS];
	out->btf_size = h->cnt[PART_BTF];
	out->btf_data = out->btf_size ? part[PART_BTF] : NULL;
	return 0;
}

int bpf_image_read(int fd, struct bpf_image *out)
{
	size_t size = 0;
	u8 *buf = NULL;
	int err;

	memset(out, 0, sizeof(*out));
	err = read_file(fd, &buf, &size);
	return err ? err : parse(buf, size, out);
}

int bpf_image_parse(const void *data, size_t size, struct bpf_image *out)
{
	u8 *buf;

	memset(out, 0, sizeof(*out));
	if (size < sizeof(struct image_header) || size > IMAGE_MAX)
		return -EBADMSG;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	memcpy(buf, data, size);
	return parse(buf, size, out);
}

void bpf_image_free(struct bpf_image *image)
{
	free(image->storage);
	memset(image, 0, sizeof(*image));
}
