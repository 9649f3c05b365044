/*
 * test_arena.c - map/arena/arena.h, case by letter
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "map/arena/arena.h"
#include "tests/lib/emulator.h"

static const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
					 .key_size = 4,
					 .value_size = 8,
					 .max_entries = 10,
					 .map_flags = BPF_F_MMAPABLE,
					 .name = "t"};

static int empty_file(void)
{
	int fd = memfd_create("arena", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool all_zero(const char *mem, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (mem[i])
			return false;
	return true;
}

static void test_a_new_arena_is_zero(void **state)
{
	struct bpf_arena *arena;

	assert_int_equal(bpf_arena_create(&spec, 7, 100000, 5000, -1, -1, &arena), 0);
	assert_true(all_zero(arena->index, 100000));
	assert_true(all_zero(arena->values, 5000));
	assert_int_equal(arena->header->map_id, 7);
	assert_string_equal(arena->header->spec.name, "t");
	assert_int_equal((uintptr_t)arena->index % 4096, 0);
	bpf_arena_close(arena, true);
}

/* E */
static void test_no_descriptor_is_needed(void **state)
{
	int index = empty_file(), values = empty_file();
	struct bpf_arena *arena;
	struct stat st;

	NOT_UNDER_EMULATOR("MADV_POPULATE_WRITE");
	assert_int_equal(bpf_arena_create(&spec, 3, 8192, 1 << 20, index, values, &arena), 0);
	bpf_arena_drop_files(arena);
	assert_true(arena->index_fd < 0 && arena->values_fd < 0);
	assert_int_equal(bpf_arena_reserve(arena, (char *)arena->values + 5000, 10000), 0);
	assert_int_equal(fstat(values, &st), 0);
	assert_true(st.st_blocks * 512 >= 12288 && st.st_blocks * 512 < 65536);
	memcpy(arena->values, "valuebeg", 8);
	bpf_arena_close(arena, true);
	assert_int_equal(bpf_arena_open(index, values, &arena), 0);
	assert_true(arena->was_clean);
	assert_memory_equal(arena->values, "valuebeg", 8);
	bpf_arena_close(arena, true);
	close(index);
	close(values);
}

static int check_size(const struct bpf_arena *arena, u64 index, u64 values)
{
	return bpf_arena_check_size(arena->index_size, arena->values_size, index, values);
}

/* What is seen without opening it is what opening it would see, and nothing has changed. */
static void test_look(void **state)
{
	int index = empty_file(), values = empty_file();
	struct bpf_arena_header header;
	struct bpf_arena *arena;
	struct stat st, of_values;

	assert_int_equal(bpf_arena_create(&spec, 3, 8192, 4096, index, values, &arena), 0);
	bpf_arena_close(arena, true);
	assert_int_equal(fstat(index, &st) | fstat(values, &of_values), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bpf_arena_look(index, &st, &of_values, &header), 0);
		assert_int_equal(header.map_id, 3);
		assert_int_equal(header.clean, 1);
	}
	assert_int_equal(bpf_arena_look(index, &st, NULL, &header), -EBADMSG);
	st.st_size += BPF_ARENA_HEADER_SIZE;
	assert_int_equal(bpf_arena_look(index, &st, &of_values, &header), -EBADMSG);
	assert_int_equal(bpf_arena_look(values, &of_values, NULL, &header), -EBADMSG);
	close(index);
	close(values);
}

static void test_files_come_back(void **state)
{
	int index = empty_file(), values = empty_file();
	struct bpf_arena *arena;

	assert_int_equal(bpf_arena_create(&spec, 3, 8192, 4096, index, values, &arena), 0);
	memcpy((char *)arena->index + 8184, "indexend", 8);
	memcpy(arena->values, "valuebeg", 8);
	bpf_arena_close(arena, true);
	/* Values are at offset 0 of their file, and nothing else is there. */
	char buf[8];
	struct stat st;

	assert_int_equal(pread(values, buf, 8, 0), 8);
	assert_memory_equal(buf, "valuebeg", 8);
	assert_int_equal(fstat(values, &st), 0);
	assert_int_equal(st.st_size, 4096);

	assert_int_equal(bpf_arena_open(index, values, &arena), 0);
	assert_true(arena->was_clean);
	assert_int_equal(check_size(arena, 8192, 4096), 0);
	assert_int_equal(check_size(arena, 8192 + 1, 4096), -EBADMSG);
	assert_int_equal(check_size(arena, 8192, 4097), -EBADMSG);
	assert_memory_equal((char *)arena->index + 8184, "indexend", 8);
	assert_memory_equal(arena->values, "valuebeg", 8);
	bpf_arena_close(arena, false);

	/* C: opened and not closed in order */
	assert_int_equal(bpf_arena_open(index, values, &arena), 0);
	assert_false(arena->was_clean);
	bpf_arena_close(arena, true);
	assert_int_equal(bpf_arena_open(index, values, &arena), 0);
	assert_true(arena->was_clean);
	bpf_arena_close(arena, true);
	close(index);
	close(values);
}

/* Overwrite 8 bytes of a good file; it must not open. Then put them back; it must. */
static void damage(int index, int values, off_t at, u64 with)
{
	struct bpf_arena *arena;
	u64 saved;

	assert_int_equal(pread(index, &saved, 8, at), 8);
	assert_int_equal(pwrite(index, &with, 8, at), 8);
	assert_int_equal(bpf_arena_open(index, values, &arena), -EBADMSG);
	assert_int_equal(pwrite(index, &saved, 8, at), 8);
	assert_int_equal(bpf_arena_open(index, values, &arena), 0);
	bpf_arena_close(arena, true);
}

static void test_damaged_files_do_not_open(void **state)
{
	int index = empty_file(), values = empty_file(), other = empty_file();
	struct bpf_arena *arena;
	u64 slots_version;

	assert_int_equal(bpf_arena_open(index, values, &arena), -EBADMSG); /* empty */
	assert_int_equal(bpf_arena_create(&spec, 3, 8192, 4096, index, values, &arena), 0);
	bpf_arena_close(arena, true);
	damage(index, values, offsetof(struct bpf_arena_header, magic), 0); /* B */
	damage(index, values, offsetof(struct bpf_arena_header, magic), ~0ull);
	damage(index, values, offsetof(struct bpf_arena_header, index_size), 1 << 20);
	damage(index, values, offsetof(struct bpf_arena_header, values_size), 1 << 20);
	damage(index, values, offsetof(struct bpf_arena_header, index_size), 4096); /* less */
	damage(index, values, offsetof(struct bpf_arena_header, values_size), 0);
	assert_int_equal(pread(index, &slots_version, 8, 8), 8);
	damage(index, values, 8, slots_version + 1); /* version */
	damage(index, values, 8, (u32)slots_version); /* nr_slots 0 */
	damage(index, values, 8, (u32)slots_version | 0xffffffffull << 32);

	assert_int_equal(bpf_arena_open(index, other, &arena), -EBADMSG);
	assert_int_equal(bpf_arena_open(index, -1, &arena), -EBADMSG);
	assert_int_equal(ftruncate(index, 4096 * 2), 0);
	assert_int_equal(bpf_arena_open(index, values, &arena), -EBADMSG);
	assert_int_equal(ftruncate(index, 100), 0);
	assert_int_equal(bpf_arena_open(index, values, &arena), -EBADMSG);
	assert_int_equal(bpf_arena_open(-1, -1, &arena), -EBADF);

	int dir = open("/tmp", O_RDONLY | O_DIRECTORY);

	assert_int_equal(bpf_arena_open(dir, -1, &arena), -EBADMSG);
	close(dir);
	close(index);
	close(values);
	close(other);
}

/* F; and C: what an ordered end says is believed only as a whole. */
static void test_f_each_byte_of_the_header_counts(void **state)
{
	static const size_t changes[] = {offsetof(struct bpf_arena_header, map_id),
					 offsetof(struct bpf_arena_header, clean),
					 offsetof(struct bpf_arena_header, entries)};
	int index = empty_file();
	struct bpf_arena *arena;
	u8 byte, other;

	assert_int_equal(bpf_arena_create(&spec, 3, 8192, 0, index, -1, &arena), 0);
	bpf_arena_close(arena, true);
	for (size_t at = 0; at < offsetof(struct bpf_arena_header, closed); at++) {
		bool may_change = false;

		for (u32 i = 0; i < ARRAY_SIZE(changes); i++)
			may_change |= at >= changes[i] && at < changes[i] + (i == 2 ? 8 : 4);
		assert_int_equal(pread(index, &byte, 1, at), 1);
		other = byte ^ 0x40;
		assert_int_equal(pwrite(index, &other, 1, at), 1);
		assert_int_equal(bpf_arena_open(index, -1, &arena), may_change ? 0 : -EBADMSG);
		if (may_change) {
			assert_false(arena->was_clean);
			bpf_arena_close(arena, false);
		}
		assert_int_equal(pwrite(index, &byte, 1, at), 1);
		assert_int_equal(bpf_arena_open(index, -1, &arena), 0);
		bpf_arena_close(arena, true);
	}
	/* Made by a program that knew no checksum, and ended in order by it. */
	assert_int_equal(
		pwrite(index, &(u64[2]){0}, 16, offsetof(struct bpf_arena_header, checksum)), 16);
	assert_int_equal(bpf_arena_open(index, -1, &arena), 0);
	assert_true(arena->was_clean);
	bpf_arena_close(arena, true);
	close(index);
}

static void test_d_values_memfd_keeps_its_size(void **state)
{
	struct bpf_arena *arena;
	struct stat st;

	assert_int_equal(bpf_arena_create(&spec, 3, 0, 4096, -1, -1, &arena), 0);
	assert_true(arena->values_fd >= 0);
	assert_int_equal(ftruncate(arena->values_fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(arena->values_fd, 8192), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fstat(arena->values_fd, &st), 0);
	assert_int_equal(st.st_size, 4096);
	assert_int_equal(st.st_mode & 07777, 0600); /* nobody else opens it through /proc */
	assert_int_equal(fcntl(arena->values_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	/* What a client maps is what the engine has. */
	char *client = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, arena->values_fd, 0);

	assert_ptr_not_equal(client, MAP_FAILED);
	client[17] = 5;
	assert_int_equal(((char *)arena->values)[17], 5);
	munmap(client, 4096);
	bpf_arena_close(arena, true);
}

static void test_large_is_sparse(void **state)
{
	int index = empty_file();
	struct bpf_arena *arena;
	struct stat st;

	assert_int_equal(bpf_arena_create(&spec, 3, 1ull << 36, 0, index, -1, &arena), 0);
	((char *)arena->index)[(1ull << 36) - 1] = 1;
	assert_int_equal(fstat(index, &st), 0);
	assert_true(st.st_blocks < 1000);
	bpf_arena_close(arena, true);
	close(index);
}

static void test_refused(void **state)
{
	struct bpf_arena *arena;
	int fd = empty_file();

	assert_int_equal(bpf_arena_create(&spec, 3, BPF_ARENA_MAX_SIZE + 1, 0, -1, -1, &arena),
			 -E2BIG);
	assert_int_equal(bpf_arena_create(&spec, 3, 0, BPF_ARENA_MAX_SIZE + 1, -1, -1, &arena),
			 -E2BIG);
	assert_int_equal(bpf_arena_create(&spec, 3, 4096, 0, -1, fd, &arena), -EINVAL);
	assert_int_equal(bpf_arena_create(&spec, 3, 4096, 4096, fd, -1, &arena), -EINVAL);
	assert_int_equal(bpf_arena_create(&spec, 3, 4096, 0, 9999, -1, &arena), -EBADF);
	int ro = open("/proc/self/exe", O_RDONLY);

	assert_int_equal(bpf_arena_create(&spec, 3, 4096, 0, ro, -1, &arena), -EINVAL);
	close(ro);
	close(fd);
}

static void test_descriptors_are_not_taken_nor_leaked(void **state)
{
	int index = empty_file(), values = empty_file(), before = dup(index);
	struct bpf_arena *arena;

	close(before);
	assert_int_equal(bpf_arena_create(&spec, 3, 4096, 4096, index, values, &arena), 0);
	assert_int_equal(fcntl(index, F_GETFD) & ~FD_CLOEXEC, 0);
	bpf_arena_close(arena, true);
	assert_int_equal(bpf_arena_open(index, -1, &arena), -EBADMSG);
	assert_int_equal(bpf_arena_open(index, values, &arena), 0);
	bpf_arena_close(arena, true);
	assert_true(fcntl(index, F_GETFD) >= 0);
	int after = dup(index);

	assert_int_equal(after, before); /* the lowest free descriptor is the same again */
	close(after);
	close(index);
	close(values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_new_arena_is_zero),
		cmocka_unit_test(test_no_descriptor_is_needed),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_files_come_back),
		cmocka_unit_test(test_damaged_files_do_not_open),
		cmocka_unit_test(test_f_each_byte_of_the_header_counts),
		cmocka_unit_test(test_d_values_memfd_keeps_its_size),
		cmocka_unit_test(test_large_is_sparse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_descriptors_are_not_taken_nor_leaked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
