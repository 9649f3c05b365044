/*
 * test_image.c - a program's image: what is written is read; what was damaged is -EBADMSG
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "btf/btf.h"
#include "object/image.h"
#include "tests/lib/object.h"

/* A program as the loader leaves it, as far as an image cares; the maps are only their ids. */
struct fixture {
	struct bpf_object_file *obj;
	struct bpf_map maps[8];
	struct bpf_map *map_ptrs[8];
	struct bpf_prog prog;
};

static void fixture_make(struct fixture *f, const char *object, const char *name)
{
	size_t size;
	void *data = test_object_bytes(object, &size);
	const struct bpf_object_prog *p;

	memset(f, 0, sizeof(*f));
	assert_int_equal(bpf_object_read(data, size, NULL, &f->obj), 0);
	free(data);
	p = test_object_prog(f->obj, name);
	assert_non_null(p);
	assert_true(f->obj->map_cnt <= ARRAY_SIZE(f->maps));
	for (u32 i = 0; i < f->obj->map_cnt; i++) {
		f->maps[i].id = 1000 + 7 * i;
		f->map_ptrs[i] = &f->maps[i];
	}
	f->prog.type = p->type;
	f->prog.expected_attach_type = p->expected_attach_type;
	f->prog.prog_flags = 4;
	f->prog.id = 77;
	strcpy(f->prog.name, p->name);
	strcpy(f->prog.license, f->obj->license);
	f->prog.orig_insns = p->insns;
	f->prog.orig_len = p->insn_cnt;
	f->prog.used_maps = f->map_ptrs;
	f->prog.used_map_cnt = f->obj->map_cnt;
	f->prog.btf = f->obj->btf;
	f->prog.func_info = p->func_info;
	f->prog.func_info_cnt = p->func_info_cnt;
	f->prog.line_info = p->line_info;
	f->prog.line_info_cnt = p->line_info_cnt;
}

static int image_file(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void check_same(const struct fixture *f, const struct bpf_image *image)
{
	const struct bpf_prog_load_attr *a = &image->attr;
	const struct bpf_prog *p = &f->prog;
	u32 size = 0;
	const void *btf = p->btf ? bpf_btf_raw(p->btf, &size) : NULL;

	assert_int_equal(a->prog_type, p->type);
	assert_int_equal(a->expected_attach_type, p->expected_attach_type);
	assert_int_equal(a->prog_flags, p->prog_flags);
	assert_int_equal(a->id, p->id);
	assert_string_equal(a->name, p->name);
	assert_string_equal(a->license, p->license);
	assert_int_equal(a->insn_cnt, p->orig_len);
	assert_memory_equal(a->insns, p->orig_insns, p->orig_len * sizeof(struct bpf_insn));
	assert_int_equal(a->map_cnt, p->used_map_cnt);
	assert_null(a->maps);
	assert_null(a->btf);
	for (u32 i = 0; i < a->map_cnt; i++)
		assert_int_equal(image->map_ids[i], p->used_maps[i]->id);
	assert_int_equal(a->func_info_cnt, p->func_info_cnt);
	assert_int_equal(a->line_info_cnt, p->line_info_cnt);
	if (p->func_info_cnt)
		assert_memory_equal(a->func_info, p->func_info,
				    p->func_info_cnt * sizeof(struct bpf_func_info));
	if (p->line_info_cnt)
		assert_memory_equal(a->line_info, p->line_info,
				    p->line_info_cnt * sizeof(struct bpf_line_info));
	assert_int_equal(image->btf_size, size);
	if (size)
		assert_memory_equal(image->btf_data, btf, size);
}

static void what_is_written_is_read(void **state)
{
	static const char *const rows[][2] = {
		{"count_ports", "count_ports"}, {"global_data", "global_data"},
		{"subprograms", "first"},	{"no_license", "no_license"},
		{"xdp_rewrite", "xdp_rewrite"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_image image;
		struct fixture f;
		int fd = image_file();

		fixture_make(&f, rows[i][0], rows[i][1]);
		assert_int_equal(bpf_image_write(fd, &f.prog), 0);
		assert_int_equal(bpf_image_read(fd, &image), 0);
		check_same(&f, &image);
		bpf_image_free(&image);
		bpf_object_file_free(f.obj);
		close(fd);
	}
}

static void without_btf_and_maps(void **state)
{
	struct bpf_image image;
	struct fixture f;
	int fd = image_file();

	fixture_make(&f, "no_license", "no_license");
	f.prog.btf = NULL;
	f.prog.func_info_cnt = f.prog.line_info_cnt = 0;
	f.prog.used_map_cnt = 0;
	assert_int_equal(bpf_image_write(fd, &f.prog), 0);
	assert_int_equal(bpf_image_read(fd, &image), 0);
	check_same(&f, &image);
	assert_null(image.btf_data);
	bpf_image_free(&image);
	bpf_object_file_free(f.obj);
	close(fd);
}

/* A shorter image over a longer one leaves nothing behind, wherever the descriptor stands. */
static void writing_again_replaces(void **state)
{
	struct fixture big, small;
	struct bpf_image image;
	int fd = image_file();

	fixture_make(&big, "subprograms", "first");
	fixture_make(&small, "no_license", "no_license");
	assert_int_equal(bpf_image_write(fd, &big.prog), 0);
	assert_true(lseek(fd, 100, SEEK_SET) == 100);
	assert_int_equal(bpf_image_write(fd, &small.prog), 0);
	assert_int_equal(bpf_image_read(fd, &image), 0);
	check_same(&small, &image);
	bpf_image_free(&image);
	bpf_object_file_free(big.obj);
	bpf_object_file_free(small.obj);
	close(fd);
}

static void any_flipped_bit_is_seen(void **state)
{
	struct fixture f;
	int fd = image_file();
	off_t size;

	fixture_make(&f, "global_data", "global_data");
	assert_int_equal(bpf_image_write(fd, &f.prog), 0);
	size = lseek(fd, 0, SEEK_END);
	for (off_t at = 0; at < size; at++) {
		struct bpf_image image;
		u8 byte, bad;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		bad = byte ^ (1 << at % 8);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_int_equal(bpf_image_read(fd, &image), -EBADMSG);
		assert_null(image.storage);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	bpf_object_file_free(f.obj);
	close(fd);
}

static void any_cut_or_longer_file_is_seen(void **state)
{
	struct bpf_image image;
	struct fixture f;
	int fd = image_file();
	off_t size;

	fixture_make(&f, "count_ports", "count_ports");
	assert_int_equal(bpf_image_read(fd, &image), -EBADMSG);
	assert_int_equal(bpf_image_write(fd, &f.prog), 0);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(ftruncate(fd, size + 1), 0);
	assert_int_equal(bpf_image_read(fd, &image), -EBADMSG);
	while (--size >= 0) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(bpf_image_read(fd, &image), -EBADMSG);
	}
	bpf_object_file_free(f.obj);
	close(fd);
}

static void errors_of_the_file_are_given(void **state)
{
	struct bpf_image image;
	struct fixture f;
	int fd;

	fixture_make(&f, "no_license", "no_license");
	assert_int_equal(bpf_image_write(-1, &f.prog), -EBADF);
	assert_int_equal(bpf_image_read(-1, &image), -EBADF);
	fd = memfd_create("image", MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(bpf_image_write(fd, &f.prog), -EPERM);
	bpf_object_file_free(f.obj);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(without_btf_and_maps),
		cmocka_unit_test(writing_again_replaces),
		cmocka_unit_test(any_flipped_bit_is_seen),
		cmocka_unit_test(any_cut_or_longer_file_is_seen),
		cmocka_unit_test(errors_of_the_file_are_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
