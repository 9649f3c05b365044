/*
 * test_io.c - fs/fuse/io.c and open.c: open files, as the kernel asks for them
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/fuse/deferred.h"
#include "fs/fuse/open.h"
#include "fs/lib/error_log.h"
#include "fs/lib/metrics.h"
#include "fs/lib/write_buffer.h"
#include "fs/node/backing.h"
#include "tests/lib/wire.h"

#define ROOT 1

static int made; /* how often a text was made */
static size_t text_len; /* and how long it is */
static int open_answer, io_answer;
static _Atomic u32 released; /* a worker counts, too */
static char got[64]; /* what a handler was given */
static struct fs_waitq waitq = FS_WAITQ_INIT;
static bool ready;

static int show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	made++;
	if (io_answer)
		return io_answer;
	for (size_t i = 0; i < text_len; i++)
		fs_text_printf(out, "%c", (char)('a' + i % 26));
	return 0;
}

static int kind_open(struct fs_open *open, struct fs_req *req)
{
	open->waitq = &waitq;
	return open_answer;
}

static void kind_release(struct fs_open *open)
{
	released++;
}

static ssize_t kind_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	if (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
		return -EAGAIN;
	memcpy(buf, "data", min(len, (size_t)4));
	return min(len, (size_t)4);
}

static ssize_t kind_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	snprintf(got, sizeof(got), "%.*s@%d by %u", (int)len, buf, (int)off, req->cred.uid);
	return io_answer ? fs_error(req, -io_answer, "not that") : (ssize_t)len;
}

static int kind_flush(struct fs_open *open, struct fs_req *req)
{
	return io_answer;
}

static u32 kind_poll(struct fs_open *open)
{
	return __atomic_load_n(&ready, __ATOMIC_SEQ_CST) ? POLLIN : 0;
}

static const struct fs_command quick = {false, LIMIT_CNT}, slow = {true, LIMIT_CNT};

static const struct fs_command *kind_command(unsigned int cmd)
{
	return _IOC_NR(cmd) == 1 ? &quick : _IOC_NR(cmd) == 2 ? &slow : NULL;
}

static int kind_ioctl(struct fs_open *open, struct fs_req *req, const struct fs_command *command,
		      const void *in, size_t in_len, void *out, size_t *out_len)
{
	snprintf(got, sizeof(got), "%s %zu %zu", command->slow ? "slow" : "quick", in_len,
		 *out_len);
	for (size_t i = 0; i < *out_len; i++)
		assert_int_equal(((char *)out)[i], 0); /* nothing of the server's memory */
	memset(out, 'x', *out_len);
	*out_len = min(*out_len, (size_t)3);
	return io_answer ? io_answer : 5;
}

#define KIND                                                                                  \
	.type = S_IFREG, .open = kind_open, .release = kind_release, .read = kind_read,       \
	.write = kind_write, .flush = kind_flush, .poll = kind_poll, .command = kind_command, \
	.ioctl = kind_ioctl

static const struct fs_node_ops
	text_ops = {.name = "text", .type = S_IFREG, .show = show},
	tail_ops = {.name = "tail", .type = S_IFREG, .show = show, .appends = true},
	kind_ops = {.name = "kind", KIND}, slow_ops = {.name = "slow", .slow = true, KIND},
	slower_ops = {.name = "slower", .slow = true, .slow_flush = true, KIND},
	bare_ops = {.name = "bare", .type = S_IFREG}, root_ops = {.name = "root", .type = S_IFDIR};

enum { TEXT, TAIL, FILE_KIND, SLOW, SLOWER, BARE };
static const struct fs_attr rows[] = {
	{"text", 0666, &text_ops, 0},	  {"tail", 0666, &tail_ops, 0},
	{"file", 0666, &kind_ops, 0},	  {"slow", 0666, &slow_ops, 0},
	{"slower", 0666, &slower_ops, 0}, {"bare", 0666, &bare_ops, 0}};
static struct fs_node *root, *nodes[ARRAY_SIZE(rows)];

static int begin(void **state)
{
	fs_backing.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(fs_backing.root_fd, errno);
	fs_backing.root_ino = 1000;
	assert_int_equal(fs_node_root(&root_ops, &root), 0);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(fs_node_attr(root, rows, i, &nodes[i]), 0);
	wire_begin();
	return 0;
}

static int end(void **state)
{
	wire_end();
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		fs_node_put(nodes[i]);
	fs_node_put(root);
	close(fs_backing.root_fd);
	return 0;
}

static int before(void **state)
{
	made = open_answer = io_answer = 0;
	text_len = 10;
	released = 0;
	__atomic_store_n(&ready, true, __ATOMIC_SEQ_CST);
	return 0;
}

static u64 open_row(u32 row, u32 flags)
{
	u64 fh;

	assert_int_equal(wire_open(nodes[row]->id, flags, &fh), 0);
	return fh;
}

static ssize_t read_row(u32 row, u64 fh, u32 flags, char *buf, size_t len, u64 off)
{
	return wire_read(nodes[row]->id, fh, flags, buf, len, off);
}

static s32 simple(u32 opcode, u32 row, const void *in, size_t len, struct wire_answer *answer)
{
	return wire_call(opcode, nodes[row]->id, in, len, NULL, 0, answer);
}

static s32 flush(u32 row, u64 fh)
{
	struct fuse_flush_in in = {.fh = fh};
	struct wire_answer answer;

	return simple(FUSE_FLUSH, row, &in, sizeof(in), &answer);
}

/* ---- cases */

static void a_text_is_made_once_and_again_from_the_start(void **state)
{
	u64 fh = open_row(TEXT, O_RDONLY);
	char buf[64];

	assert_int_equal(read_row(TEXT, fh, 0, buf, 4, 0), 4);
	assert_memory_equal(buf, "abcd", 4);
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 4), 6);
	assert_memory_equal(buf, "efghij", 6);
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 10), 0);
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 1ULL << 40), 0);
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, UINT64_MAX), 0);
	assert_int_equal(made, 1);
	text_len = 3;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), 3);
	assert_int_equal(made, 2);
	io_answer = -EBUSY;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), -EBUSY);
	io_answer = 0;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 1), 2); /* made anew */
	wire_release(nodes[TEXT]->id, fh);
}

static void what_grows_is_looked_at_again_at_its_end(void **state)
{
	u64 fh = open_row(TAIL, O_RDONLY);
	char buf[64];

	assert_int_equal(read_row(TAIL, fh, 0, buf, 64, 0), 10);
	text_len = 12;
	assert_int_equal(read_row(TAIL, fh, 0, buf, 64, 5), 5);
	assert_int_equal(made, 1);
	assert_int_equal(read_row(TAIL, fh, 0, buf, 64, 10), 2);
	assert_int_equal(made, 2);
	wire_release(nodes[TAIL]->id, fh);
}

/* A long text is its opener's memory, and not as large as he likes. */
static void a_long_text_is_charged(void **state)
{
	u64 used = limits_used(wire_uid, LIMIT_MEMORY), fh = open_row(TEXT, O_RDONLY);
	char buf[64];

	text_len = 100;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), 64);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used);
	text_len = 200000;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), 64);
	assert_true(limits_used(wire_uid, LIMIT_MEMORY) >= used + 200000);
	text_len = 100;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), 64);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used);
	assert_int_equal(limits_set(wire_uid, LIMIT_MEMORY, 1000), 0);
	text_len = 200000;
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), -EDQUOT);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used);
	limits_unset(wire_uid, LIMIT_MEMORY);
	assert_int_equal(read_row(TEXT, fh, 0, buf, 64, 0), 64);
	wire_release(nodes[TEXT]->id, fh);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used);
}

static void an_open_file_is_counted_and_charged_until_its_release(void **state)
{
	u64 opens = fs_metrics.opens, files = limits_used(wire_uid, LIMIT_FILES), fh, more;

	fh = open_row(FILE_KIND, O_RDWR);
	assert_int_equal(fs_metrics.opens, opens + 1);
	assert_int_equal(limits_used(wire_uid, LIMIT_FILES), files + 1);
	assert_int_equal(limits_set(wire_uid, LIMIT_FILES, files + 1), 0);
	assert_int_equal(wire_open(nodes[FILE_KIND]->id, O_RDWR, &more), -EDQUOT);
	limits_unset(wire_uid, LIMIT_FILES);
	open_answer = -EBADMSG;
	assert_int_equal(wire_open(nodes[FILE_KIND]->id, O_RDWR, &more), -EBADMSG);
	assert_int_equal(fs_metrics.opens, opens + 1);
	assert_int_equal(limits_used(wire_uid, LIMIT_FILES), files + 1);
	assert_int_equal(released, 0); /* what did not open is not released */
	assert_int_equal(wire_release(nodes[FILE_KIND]->id, fh), 0);
	assert_int_equal(released, 1);
	assert_int_equal(fs_metrics.opens, opens);
	assert_int_equal(limits_used(wire_uid, LIMIT_FILES), files);
}

/* A caller that was killed in its open will release nothing. */
static void a_lost_answer_leaves_nothing_open(void **state)
{
	u64 opens = fs_metrics.opens, fh;

	wire_lose_next();
	assert_int_equal(wire_open(nodes[FILE_KIND]->id, O_RDWR, &fh), 0);
	assert_int_equal(fs_metrics.opens, opens);
	assert_int_equal(released, 1);
}

static void writes_are_the_openers(void **state)
{
	u64 fh = open_row(FILE_KIND, O_WRONLY);
	char expected[64];
	u32 me = wire_uid;

	wire_uid = 4711; /* who was handed the descriptor */
	assert_int_equal(wire_write(nodes[FILE_KIND]->id, fh, "abc", 7), 3);
	wire_uid = me;
	snprintf(expected, sizeof(expected), "abc@7 by %u", me);
	assert_string_equal(got, expected);
	io_answer = -ERANGE;
	assert_int_equal(wire_write(nodes[FILE_KIND]->id, fh, "abc", 7), -ERANGE);
	{
		struct fs_text log = {0};

		error_log_print(me, &log);
		assert_non_null(strstr(log.buf, "file: write: ERANGE: not that\n"));
		fs_text_free(&log);
	}
	wire_release(nodes[FILE_KIND]->id, fh);
	fh = open_row(TEXT, O_WRONLY);
	assert_int_equal(wire_write(nodes[TEXT]->id, fh, "abc", 0), -EPERM);
	wire_release(nodes[TEXT]->id, fh);
}

static void what_has_no_handlers_is_empty(void **state)
{
	u64 fh = open_row(BARE, O_RDWR);
	struct fuse_ioctl_in in = {.fh = fh, .cmd = _IO(0xbf, 1)};
	struct fuse_poll_in poll_in = {.fh = fh};
	struct wire_answer answer;
	char buf[8];

	assert_int_equal(read_row(BARE, fh, 0, buf, 8, 0), 0);
	assert_int_equal(wire_write(nodes[BARE]->id, fh, "abc", 0), -EPERM);
	assert_int_equal(flush(BARE, fh), 0);
	assert_int_equal(simple(FUSE_IOCTL, BARE, &in, sizeof(in), &answer), -ENOTTY);
	assert_int_equal(simple(FUSE_POLL, BARE, &poll_in, sizeof(poll_in), &answer), 0);
	assert_int_equal(((struct fuse_poll_out *)answer.data)->revents, POLLIN | POLLOUT);
	wire_release(nodes[BARE]->id, fh);
}

static void closing_tells_what_is_wrong(void **state)
{
	static const u32 each[] = {FILE_KIND, SLOW, SLOWER};

	for (u32 i = 0; i < ARRAY_SIZE(each); i++) {
		u64 fh = open_row(each[i], O_WRONLY);

		io_answer = 0;
		assert_int_equal(flush(each[i], fh), 0);
		io_answer = -EINVAL;
		assert_int_equal(flush(each[i], fh), -EINVAL);
		wire_release(nodes[each[i]]->id, fh);
	}
}

/* Nobody waits in close(2) for another's read of the same open file. */
static void a_close_waits_for_nobody(void **state)
{
	u64 fh = open_row(SLOW, O_RDWR);
	struct fuse_file_info fi = {.fh = fh};
	struct fs_open *open = fs_open_of(&fi);

	io_answer = -EINVAL;
	pthread_mutex_lock(&open->lock); /* as its handler does */
	assert_int_equal(flush(SLOW, fh), 0);
	pthread_mutex_unlock(&open->lock);
	assert_int_equal(flush(SLOW, fh), -EINVAL);
	wire_release(nodes[SLOW]->id, fh);
}

static void nothing_yet_waits_or_is_eagain(void **state)
{
	static const u32 each[] = {FILE_KIND, SLOW};
	struct wire_answer answer;
	char buf[8];

	for (u32 i = 0; i < ARRAY_SIZE(each); i++) {
		u64 fh = open_row(each[i], O_RDONLY), unique;
		struct fuse_read_in in = {.fh = fh, .size = 8};

		__atomic_store_n(&ready, false, __ATOMIC_SEQ_CST);
		assert_int_equal(read_row(each[i], fh, O_NONBLOCK, buf, 8, 0), -EAGAIN);
		unique = wire_send(FUSE_READ, nodes[each[i]]->id, &in, sizeof(in), NULL, 0);
		assert_false(wire_answered(unique));
		__atomic_store_n(&ready, true, __ATOMIC_SEQ_CST);
		fs_wake(&waitq);
		assert_int_equal(wire_wait(unique, &answer), 0);
		assert_int_equal(answer.len, 4);
		wire_release(nodes[each[i]]->id, fh);
	}
}

static void an_ioctl_runs_here_or_on_a_worker(void **state)
{
	u64 fh = open_row(FILE_KIND, O_RDWR);
	struct {
		struct fuse_ioctl_in in;
		char data[5000];
	} call = {.in = {.fh = fh, .in_size = 4}};
	const struct fuse_ioctl_out *out;
	static const u32 rooms[] = {0, 2, 3, 8, 4096, 4097, 5000};
	struct wire_answer answer;

	out = (const struct fuse_ioctl_out *)answer.data;
	for (u32 nr = 1; nr <= 2; nr++) {
		for (u32 i = 0; i < ARRAY_SIZE(rooms); i++) {
			char expected[64];

			call.in.cmd = _IO(0xbf, nr);
			call.in.out_size = rooms[i];
			snprintf(expected, sizeof(expected), "%s 4 %u", nr == 1 ? "quick" : "slow",
				 rooms[i]);
			assert_int_equal(
				simple(FUSE_IOCTL, FILE_KIND, &call, sizeof(call.in) + 4, &answer),
				0);
			assert_string_equal(got, expected);
			assert_int_equal(out->result, 5);
			assert_int_equal(answer.len - sizeof(*out), min(rooms[i], 3u));
			for (u32 k = 0; k < min(rooms[i], 3u); k++)
				assert_int_equal(((char *)(out + 1))[k], 'x');
		}
		/* A failure has an answer, too. */
		io_answer = -ESTALE;
		assert_int_equal(simple(FUSE_IOCTL, FILE_KIND, &call, sizeof(call.in) + 4, &answer),
				 0);
		assert_int_equal(out->result, -ESTALE);
		assert_int_equal(answer.len - sizeof(*out), 3);
		io_answer = 0;
	}
	call.in.cmd = _IO(0xbf, 3);
	assert_int_equal(simple(FUSE_IOCTL, FILE_KIND, &call, sizeof(call.in) + 4, &answer),
			 -ENOTTY);
	call.in.cmd = _IO(0xbf, 1);
	call.in.flags = FUSE_IOCTL_UNRESTRICTED;
	assert_int_equal(simple(FUSE_IOCTL, FILE_KIND, &call, sizeof(call.in) + 4, &answer),
			 -ENOTTY);
	wire_release(nodes[FILE_KIND]->id, fh);
}

static void a_poller_is_told_once_and_goes_with_its_file(void **state)
{
	u64 fh = open_row(FILE_KIND, O_RDONLY);
	struct fuse_poll_in in = {.fh = fh, .kh = 3, .flags = FUSE_POLL_SCHEDULE_NOTIFY};
	struct wire_answer answer;

	__atomic_store_n(&ready, false, __ATOMIC_SEQ_CST);
	assert_int_equal(simple(FUSE_POLL, FILE_KIND, &in, sizeof(in), &answer), 0);
	assert_int_equal(((struct fuse_poll_out *)answer.data)->revents, 0);
	assert_non_null(waitq.pollers);
	assert_int_equal(simple(FUSE_POLL, FILE_KIND, &in, sizeof(in), &answer), 0);
	assert_null(waitq.pollers->next); /* the second takes the first one's place */
	in.flags = 0; /* only looking */
	__atomic_store_n(&ready, true, __ATOMIC_SEQ_CST);
	assert_int_equal(simple(FUSE_POLL, FILE_KIND, &in, sizeof(in), &answer), 0);
	assert_int_equal(((struct fuse_poll_out *)answer.data)->revents, POLLIN);
	wire_release(nodes[FILE_KIND]->id, fh);
	assert_null(waitq.pollers);
}

/* Several files may wait for one thing: each takes its own poller away, wherever that stands. */
static void pollers_of_other_files_stay(void **state)
{
	struct fuse_poll_in in = {.flags = FUSE_POLL_SCHEDULE_NOTIFY};
	struct wire_answer answer;
	u64 fh[3];

	for (u32 i = 0; i < 3; i++) {
		fh[i] = in.fh = in.kh = open_row(FILE_KIND, O_RDONLY);
		assert_int_equal(simple(FUSE_POLL, FILE_KIND, &in, sizeof(in), &answer), 0);
	}
	wire_release(nodes[FILE_KIND]->id, fh[1]);
	assert_non_null(waitq.pollers->next);
	assert_null(waitq.pollers->next->next);
	wire_release(nodes[FILE_KIND]->id, fh[0]);
	assert_non_null(waitq.pollers);
	assert_null(waitq.pollers->next);
	wire_release(nodes[FILE_KIND]->id, fh[2]);
	assert_null(waitq.pollers);
}

static void files_that_clients_still_have_end_with_the_server(void **state)
{
	u64 opens = fs_metrics.opens;

	open_row(FILE_KIND, O_RDONLY);
	open_row(SLOW, O_RDONLY);
	open_row(TEXT, O_RDONLY);
	assert_int_equal(fs_metrics.opens, opens + 3);
	fs_open_drop_all();
	assert_int_equal(fs_metrics.opens, 0);
	assert_int_equal(released, 2);
}

/* ---- what an open file keeps */

static void memory_of_an_open_file_is_charged(void **state)
{
	u64 used = limits_used(wire_uid, LIMIT_MEMORY), fh = open_row(TEXT, O_RDWR);
	struct fuse_file_info fi = {.fh = fh};
	struct fs_open *open = fs_open_of(&fi);
	struct write_buffer buffer = {0};
	struct fs_req req = {.quiet = true};

	assert_int_equal(limits_set(wire_uid, LIMIT_MEMORY, used), 0);
	assert_int_equal(fs_open_hold(open, 65536, NULL), 0); /* little is never refused */
	assert_int_equal(fs_open_hold(open, 1, NULL), -EDQUOT);
	fs_open_let(open, 65536);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used);
	limits_unset(wire_uid, LIMIT_MEMORY);
	assert_int_equal(fs_open_buffer(open, &req, &buffer, "abc", 3, 0, false, 100), 0);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used + buffer.cap);
	assert_int_equal(open->held, buffer.cap);
	assert_true(fs_open_buffer(open, &req, &buffer, "abc", 3, 3, false, 5) < 0); /* too long */
	assert_int_equal(open->held, buffer.cap);
	write_buffer_free(&buffer);
	wire_release(nodes[TEXT]->id, fh);
	assert_int_equal(limits_used(wire_uid, LIMIT_MEMORY), used);
}

#define CASE(f) cmocka_unit_test_setup(f, before)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_text_is_made_once_and_again_from_the_start),
		CASE(what_grows_is_looked_at_again_at_its_end),
		CASE(a_long_text_is_charged),
		CASE(an_open_file_is_counted_and_charged_until_its_release),
		CASE(a_lost_answer_leaves_nothing_open),
		CASE(writes_are_the_openers),
		CASE(what_has_no_handlers_is_empty),
		CASE(closing_tells_what_is_wrong),
		CASE(a_close_waits_for_nobody),
		CASE(nothing_yet_waits_or_is_eagain),
		CASE(an_ioctl_runs_here_or_on_a_worker),
		CASE(a_poller_is_told_once_and_goes_with_its_file),
		CASE(pollers_of_other_files_stay),
		CASE(files_that_clients_still_have_end_with_the_server),
		CASE(memory_of_an_open_file_is_charged),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
