/*
 * test_ioctl.c - fs/ioctl/ioctl.c and call.c: headers, transfers, rights of a descriptor
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/ioctl/ioctl.h"
#include "tests/lib/control.h"
#include "tests/lib/emulator.h"
#include "tests/lib/state.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED /* their allocators do not fail */
#endif

static struct store_object *map;
static struct fs_open *file;

static int begin(void **state)
{
	int err = state_begin(state);

	map = state_map("m");
	file = control_test_open(map, &state_me, O_RDWR);
	return err;
}

static int end(void **state)
{
	control_test_close(file);
	store_put(map);
	return state_end(state);
}

static void a_command_belongs_to_its_kinds_of_file(void **state)
{
	static const u32 cmds[] = {UBPFFS_MAP_LOOKUP_ELEM, UBPFFS_PROG_TEST_RUN, UBPFFS_LINK_DETACH,
				   UBPFFS_BTF_DATA, UBPFFS_MAP_CREATE};
	const struct fs_command *(*const find[])(unsigned int) = {
		control_map_command, control_prog_command, control_link_command,
		control_btf_command, ctl_ops.command};

	for (u32 f = 0; f < ARRAY_SIZE(find); f++) {
		for (u32 c = 0; c < ARRAY_SIZE(cmds); c++)
			assert_int_equal(find[f](UBPFFS_IOC(cmds[c], 64)) != NULL, c == f);
		/* Transfers are everybody's; what is no command is nobody's. */
		assert_non_null(find[f](UBPFFS_IOC(UBPFFS_PUT, 64)));
		assert_null(find[f](UBPFFS_IOC(0, 64)));
		assert_null(find[f](UBPFFS_IOC(UBPFFS_DROP + 1, 64)));
		assert_null(find[f](UBPFFS_IOC(255, 64)));
		assert_null(find[f](_IOC(_IOC_READ | _IOC_WRITE, 0xbe, UBPFFS_PUT, 64)));
	}
	/* Told apart by the number alone. */
	assert_ptr_equal(control_map_command(UBPFFS_IOC(UBPFFS_PUT, 64)),
			 control_map_command(_IOC(_IOC_NONE, UBPFFS_IOC_TYPE, UBPFFS_PUT, 0)));
	assert_true(control_prog_command(UBPFFS_IOC(UBPFFS_PROG_TEST_RUN, 64))->slow);
	assert_int_equal(control_prog_command(UBPFFS_IOC(UBPFFS_PROG_TEST_RUN, 64))->limit,
			 LIMIT_RUN_SECONDS);
	assert_false(control_map_command(UBPFFS_IOC(UBPFFS_MAP_LOOKUP_ELEM, 64))->slow);
}

/* Sizes in the header are a client's: they never reach beyond the buffers. */
static void a_header_that_says_too_much_is_einval(void **state)
{
	const struct fs_command *command =
		control_map_command(UBPFFS_IOC(UBPFFS_MAP_LOOKUP_ELEM, 0));
	struct fs_req req = {.cred = state_me};
	struct {
		struct ubpffs_io io;
		u32 key;
	} in = {0};
	struct {
		struct ubpffs_io io;
		u64 value;
	} out;
	static const u32 lens[] = {5, 1000, UINT32_MAX - 39, UINT32_MAX};
	size_t out_len;

	for (u32 i = 0; i < ARRAY_SIZE(lens); i++) {
		in.io = (struct ubpffs_io){.in_len = lens[i], .out_len = 8};
		out_len = sizeof(out);
		assert_int_equal(
			control_ioctl(file, &req, command, &in, sizeof(in), &out, &out_len),
			-EINVAL);
		assert_int_equal(out_len, sizeof(out.io));
		in.io = (struct ubpffs_io){.in_len = 4, .out_len = lens[i] + 4};
		out_len = sizeof(out) - 8 * (lens[i] == UINT32_MAX - 39);
		if (in.io.out_len > 8)
			assert_int_equal(
				control_ioctl(file, &req, command, &in, sizeof(in), &out, &out_len),
				-EINVAL);
	}
	out_len = sizeof(out);
	assert_int_equal(control_ioctl(file, &req, command, &in, sizeof(in.io) - 1, &out, &out_len),
			 -EINVAL);
	assert_int_equal(out_len, 0);
	out_len = sizeof(out.io) - 1;
	assert_int_equal(control_ioctl(file, &req, command, &in, sizeof(in), &out, &out_len),
			 -EINVAL);
	assert_int_equal(out_len, 0);
	in.io = (struct ubpffs_io){.in_len = 4, .out_len = 8};
	out_len = sizeof(out);
	assert_int_equal(control_ioctl(file, &req, command, &in, sizeof(in), &out, &out_len), 0);
	assert_int_equal(out_len, sizeof(out.io) + 8);
	assert_int_equal(out.io.in_len, UBPFFS_ANSWERED);
	assert_int_equal(out.io.out_len, 8);
}

/* A transfer takes all that it is given: what lies behind the buffer is never given to it. */
static void a_payload_that_is_not_there_is_einval(void **state)
{
	const struct fs_command *command = control_map_command(UBPFFS_IOC(UBPFFS_PUT, 0));
	struct fs_req req = {.cred = state_me};
	struct {
		struct ubpffs_io io;
		char data[64];
	} in = {.data = "0123"}, out;
	size_t out_len;

	for (u32 len = 3; len <= 64; len++) {
		in.io = (struct ubpffs_io){.xfer = 7, .in_len = len};
		out_len = sizeof(out.io);
		assert_int_equal(
			control_ioctl(file, &req, command, &in, sizeof(in.io) + 4, &out, &out_len),
			len > 4 ? -EINVAL : 0);
		assert_int_equal(out_len, sizeof(out.io));
		assert_int_equal(out.io.in_len, UBPFFS_ANSWERED);
	}
	/* Nor is there room for more than there is. */
	command = control_map_command(UBPFFS_IOC(UBPFFS_GET, 0));
	for (u32 room = 3; room <= 5; room++) {
		in.io = (struct ubpffs_io){.xfer = 7, .out_len = room};
		out_len = sizeof(out.io) + 4;
		assert_int_equal(
			control_ioctl(file, &req, command, &in, sizeof(in.io), &out, &out_len),
			room > 4 ? -EINVAL : 0);
		assert_int_equal(out_len, sizeof(out.io) + (room > 4 ? 0 : room));
	}
	assert_memory_equal(out.data, "0123", 4);
}

static void the_descriptors_mode_counts(void **state)
{
	struct fs_open *r = control_test_open(map, &state_me, O_RDONLY),
		       *w = control_test_open(map, &state_me, O_WRONLY),
		       *neither = control_test_open(map, &state_me, 3);
	struct {
		u32 key;
		u64 value;
	} __attribute__((packed)) pair = {0, 4};
	char buf[256];

	assert_int_equal(control_test_simple(r, UBPFFS_MAP_LOOKUP_ELEM, &pair, 4, buf, 8), 0);
	assert_int_equal(control_test_simple(r, UBPFFS_MAP_UPDATE_ELEM, &pair, 12, NULL, 0),
			 -EPERM);
	assert_int_equal(control_test_simple(r, UBPFFS_MAP_FREEZE, NULL, 0, NULL, 0), -EPERM);
	assert_int_equal(control_test_simple(w, UBPFFS_MAP_LOOKUP_ELEM, &pair, 4, buf, 8), -EPERM);
	assert_int_equal(control_test_simple(w, UBPFFS_MAP_UPDATE_ELEM, &pair, 12, NULL, 0), 0);
	assert_int_equal(control_test_simple(w, UBPFFS_OBJ_TOKEN, NULL, 0, buf, 8), -EPERM);
	assert_int_equal(control_test_simple(neither, UBPFFS_MAP_LOOKUP_ELEM, &pair, 4, buf, 8),
			 -EPERM);
	assert_int_equal(control_test_simple(neither, UBPFFS_MAP_UPDATE_ELEM, &pair, 12, NULL, 0),
			 -EPERM);
	assert_int_equal(control_test_simple(neither, UBPFFS_OBJ_GET_INFO, NULL, 0, buf, 256), 0);
	control_test_close(r);
	control_test_close(w);
	control_test_close(neither);
}

static void a_stamp_of_another_object_is_estale(void **state)
{
	struct store_object *second = state_map("n");
	struct fs_open *other = control_test_open(second, &state_me, O_RDWR);
	struct ubpffs_io io = {0};
	u32 key = 0, stamp;
	u64 value;

	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_ELEM, &io, &key, 4, &value, 8),
			 0);
	stamp = io.stamp;
	assert_int_not_equal(stamp, 0);
	io = (struct ubpffs_io){.stamp = stamp};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_ELEM, &io, &key, 4, &value, 8),
			 0);
	io = (struct ubpffs_io){.stamp = stamp};
	assert_int_equal(control_test_call(other, UBPFFS_MAP_LOOKUP_ELEM, &io, &key, 4, &value, 8),
			 -ESTALE);
	io = (struct ubpffs_io){0};
	assert_int_equal(control_test_call(other, UBPFFS_MAP_LOOKUP_ELEM, &io, &key, 4, &value, 8),
			 0);
	assert_int_not_equal(io.stamp, stamp);
	control_test_close(other);
	store_put(second);
}

static int put(u64 xfer, u64 off, const void *data, size_t len)
{
	struct ubpffs_io io = {.xfer = xfer, .flags = off};

	return control_test_call(file, UBPFFS_PUT, &io, data, len, NULL, 0);
}

static int get(u64 xfer, u64 off, void *data, size_t room, u32 *len)
{
	struct ubpffs_io io = {.xfer = xfer, .flags = off};
	int ret = control_test_call(file, UBPFFS_GET, &io, NULL, 0, data, room);

	*len = io.out_len;
	return ret;
}

static int drop(u64 xfer)
{
	struct ubpffs_io io = {.xfer = xfer};

	return control_test_call(file, UBPFFS_DROP, &io, NULL, 0, NULL, 0);
}

static void pieces_come_in_order(void **state)
{
	char buf[16];
	u32 len;

	assert_int_equal(put(7, 4, "x", 1), -EINVAL); /* of none yet */
	assert_int_equal(put(7, 0, "abcd", 4), 0);
	assert_int_equal(put(7, 4, "efg", 3), 0);
	assert_int_equal(get(7, 0, buf, sizeof(buf), &len), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(buf, "abcdefg", 7);
	assert_int_equal(get(7, 5, buf, 1, &len), 0);
	assert_int_equal(len, 1);
	assert_int_equal(buf[0], 'f');
	assert_int_equal(get(7, 7, buf, sizeof(buf), &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(put(7, 0, "new", 3), 0); /* begins anew */
	assert_int_equal(get(7, 0, buf, sizeof(buf), &len), 0);
	assert_int_equal(len, 3);
	/* A hole or an overlap ends it. */
	assert_int_equal(put(7, 5, "x", 1), -EINVAL);
	assert_int_equal(get(7, 0, buf, sizeof(buf), &len), -ENOENT);
	assert_int_equal(put(8, 0, "abc", 3), 0);
	assert_int_equal(put(8, 2, "x", 1), -EINVAL);
	assert_int_equal(get(8, 0, buf, sizeof(buf), &len), -ENOENT);
	assert_int_equal(put(9, 0, "abc", 3), 0);
	assert_int_equal(drop(9), 0);
	assert_int_equal(get(9, 0, buf, sizeof(buf), &len), -ENOENT);
	assert_int_equal(drop(9), 0); /* there is none */
	assert_int_equal(put(9, UBPFFS_XFER_MAX, "x", 1), -EINVAL);
}

static void what_a_transfer_holds_is_charged(void **state)
{
	u64 before = limits_used(state_me.uid, LIMIT_MEMORY);
	const size_t piece = 1 << 20;
	char *data = calloc(1, piece);
	u64 off = 0;
	int err = 0;
	u32 len;

	assert_non_null(data);
	assert_int_equal(put(1, 0, data, piece), 0);
	assert_int_equal(put(1, piece, data, piece), 0);
	assert_true(limits_used(state_me.uid, LIMIT_MEMORY) >= before + 2 * piece);
	assert_int_equal(drop(1), 0);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before);
	/* One transfer has a largest size. */
	for (off = 0; off < UBPFFS_XFER_MAX; off += piece)
		assert_int_equal(put(1, off, data, piece), 0);
	assert_int_equal(put(1, off, data, 1), -E2BIG);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before);
	/* At the limit it is refused, and what was there goes. */
	assert_int_equal(put(2, 0, data, piece), 0);
	assert_int_equal(
		limits_set(state_me.uid, LIMIT_MEMORY, limits_used(state_me.uid, LIMIT_MEMORY)), 0);
	for (off = piece; off < 16 * piece && !err; off += piece)
		err = put(2, off, data, piece);
	assert_int_equal(err, -EDQUOT);
	assert_int_equal(get(2, 0, data, 1, &len), -ENOENT);
	limits_unset(state_me.uid, LIMIT_MEMORY);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before);
	free(data);
}

#ifndef SANITIZED
static void nothing_is_left_of_a_transfer_without_memory(void **state)
{
	u64 before = limits_used(state_me.uid, LIMIT_MEMORY);
	const size_t piece = 1 << 20;
	struct rlimit memory;
	char *data;
	u64 off;
	int err;
	u32 len;

	NOT_UNDER_EMULATOR("RLIMIT_AS");
	data = calloc(1, piece);
	assert_non_null(data);
	assert_int_equal(put(2, 0, data, piece), 0);
	assert_return_code(getrlimit(RLIMIT_AS, &memory), errno);
	assert_return_code(setrlimit(RLIMIT_AS, &(struct rlimit){1, memory.rlim_max}), errno);
	for (off = piece, err = 0; off < 16 * piece && !err; off += piece)
		err = put(2, off, data, piece);
	assert_return_code(setrlimit(RLIMIT_AS, &memory), errno);
	assert_int_equal(err, -ENOMEM);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before);
	assert_int_equal(get(2, 0, data, 1, &len), -ENOENT);
	free(data);
}
#endif

static void an_open_file_has_64_transfers(void **state)
{
	u64 before = limits_used(state_me.uid, LIMIT_MEMORY);
	char c;
	u32 len;

	for (u32 i = 1; i <= 64; i++)
		assert_int_equal(put(i, 0, "x", 1), 0);
	assert_int_equal(put(65, 0, "x", 1), -EMFILE);
	assert_int_equal(put(64, 1, "y", 1), 0);
	assert_int_equal(drop(1), 0);
	assert_int_equal(put(65, 0, "x", 1), 0);
	assert_int_equal(get(64, 1, &c, 1, &len), 0);
	assert_int_equal(c, 'y');
	/* The release gives them all back. */
	control_test_close(file);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before);
	file = control_test_open(map, &state_me, O_RDWR);
}

static void a_command_takes_a_transfer_and_answers_in_it(void **state)
{
	struct ubpffs_io io = {.xfer = 5};
	u64 value = 99, read = 0;
	char pair[12];
	u32 key = 1, len;

	memcpy(pair, &key, 4);
	memcpy(pair + 4, &value, 8);
	assert_int_equal(put(5, 0, pair, 12), 0);
	assert_int_equal(control_test_call(file, UBPFFS_MAP_UPDATE_ELEM, &io, NULL, 11, NULL, 0),
			 -EINVAL); /* not what was put; it is used up all the same */
	assert_int_equal(get(5, 0, pair, 12, &len), -ENOENT);
	assert_int_equal(put(5, 0, pair, 12), 0);
	io = (struct ubpffs_io){.xfer = 5};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_UPDATE_ELEM, &io, NULL, 12, NULL, 0),
			 0);
	assert_int_equal(get(5, 0, pair, 12, &len), -ENOENT); /* no answer, no transfer */
	assert_int_equal(put(5, 0, &key, 4), 0);
	io = (struct ubpffs_io){.xfer = 5};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_ELEM, &io, NULL, 4, NULL, 8), 0);
	assert_int_equal(io.out_len, 8);
	assert_int_equal(get(5, 0, &read, 8, &len), 0);
	assert_int_equal(len, 8);
	assert_int_equal(read, 99);
	/* Of a transfer that is not there, and larger than may be. */
	io = (struct ubpffs_io){.xfer = 6};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_ELEM, &io, NULL, 4, NULL, 8),
			 -ENOENT);
	io = (struct ubpffs_io){.xfer = 6};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_GET_NEXT_KEY, &io, NULL, 0, NULL,
					   UBPFFS_XFER_MAX + 1),
			 -EINVAL);
	io = (struct ubpffs_io){.xfer = 6};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_GET_NEXT_KEY, &io, NULL, 0, NULL, 4),
			 0);
	assert_int_equal(io.out_len, 4);
}

/* ctl: what it made last is there without a name until it makes another or is closed. */
static void ctl_holds_what_it_made_last(void **state)
{
	struct fs_open *ctl = control_test_open(NULL, &state_me, O_RDWR);
	union bpf_attr attr = {0};
	struct store_object *obj;
	u32 first, second;

	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.max_entries = 10;
	assert_int_equal(
		control_test_simple(ctl, UBPFFS_MAP_CREATE, &attr, sizeof(attr), &first, 4), 0);
	assert_int_equal(store_by_id(STORE_MAP, first, &obj), 0);
	store_put(obj);
	assert_int_equal(
		control_test_simple(ctl, UBPFFS_MAP_CREATE, &attr, sizeof(attr), &second, 4), 0);
	assert_true(second > first);
	assert_int_equal(store_by_id(STORE_MAP, first, &obj), -ENOENT);
	assert_int_equal(store_by_id(STORE_MAP, second, &obj), 0);
	store_put(obj);
	control_test_close(ctl);
	assert_int_equal(store_by_id(STORE_MAP, second, &obj), -ENOENT);
}

static void a_broken_object_is_not_opened(void **state)
{
	struct store_object broken = {.kind = STORE_MAP, .refs = 2};
	struct fs_req req = {.cred = state_me};
	static const struct fs_node_ops ops = {.name = "broken", .type = S_IFREG};
	struct fs_node node = {.ops = &ops, .in_tree = true, .obj = &broken};
	struct fs_open open = {.node = &node};

	broken.broken = "it was damaged";
	assert_int_equal(control_open(&open, &req), -EBADMSG);
	assert_string_equal(error_why(&req.error, 0), "it was damaged");
	assert_null(open.priv);
	assert_int_equal(broken.refs, 2); /* none is kept */
	error_clear(&req.error);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_belongs_to_its_kinds_of_file),
		CASE(a_header_that_says_too_much_is_einval),
		CASE(a_payload_that_is_not_there_is_einval),
		CASE(the_descriptors_mode_counts),
		CASE(a_stamp_of_another_object_is_estale),
		CASE(pieces_come_in_order),
		CASE(what_a_transfer_holds_is_charged),
#ifndef SANITIZED
		CASE(nothing_is_left_of_a_transfer_without_memory),
#endif
		CASE(an_open_file_has_64_transfers),
		CASE(a_command_takes_a_transfer_and_answers_in_it),
		CASE(ctl_holds_what_it_made_last),
		CASE(a_broken_object_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
