/*
 * wire.c - see wire.h
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/fuse/fuse.h"
#include "fs/work/worker.h"
#include "tests/lib/wire.h"

#define KEPT 1024 /* answers, until they are asked for */

u32 wire_uid, wire_gid, wire_init_flags;

static struct fuse_session *session;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct wire_answer *answers[KEPT]; /* by number; under `lock` */
static u64 last;
static bool lose;

static ssize_t take_answer(int fd, struct iovec *iov, int count, void *unused)
{
	struct fuse_out_header head;
	struct wire_answer *answer = calloc(1, sizeof(*answer));
	ssize_t all = 0;

	assert_non_null(answer);
	for (int i = 0; i < count; i++) {
		if (i) {
			assert_true(answer->len + iov[i].iov_len <= sizeof(answer->data));
			memcpy(answer->data + answer->len, iov[i].iov_base, iov[i].iov_len);
			answer->len += iov[i].iov_len;
		}
		all += (ssize_t)iov[i].iov_len;
	}
	memcpy(&head, iov[0].iov_base, sizeof(head));
	assert_int_equal(head.len, all);
	assert_true(head.error <= 0 && head.error > -512); /* else the kernel drops it */
	answer->error = head.error;
	pthread_mutex_lock(&lock);
	assert_true(head.unique && head.unique <= last);
	assert_null(answers[head.unique % KEPT]); /* one answer each */
	answers[head.unique % KEPT] = answer;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	if (__atomic_exchange_n(&lose, false, __ATOMIC_RELAXED)) {
		errno = ENOENT;
		return -1;
	}
	return all;
}

static ssize_t no_read(int fd, void *buf, size_t len, void *unused)
{
	errno = ENODEV;
	return -1;
}

void wire_begin(void)
{
	static const struct fuse_custom_io io = {.writev = take_answer, .read = no_read};
	char *argv[] = {"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION,
				  .minor = 36,
				  .max_readahead = 65536,
				  .flags = ~FUSE_INIT_EXT};
	struct wire_answer answer;
	struct fuse_init_out *out = (struct fuse_init_out *)answer.data;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	wire_uid = geteuid();
	wire_gid = getegid();
	session = fuse_session_new(&args, &ubpffs_fuse_ops, sizeof(ubpffs_fuse_ops), NULL);
	assert_non_null(session);
	assert_int_equal(fuse_session_custom_io(session, &io, fd), 0);
	assert_int_equal(wire_call(FUSE_INIT, 0, &in, sizeof(in), NULL, 0, &answer), 0);
	wire_init_flags = out->flags;
	fuse_opt_free_args(&args);
}

void wire_end(void)
{
	worker_stop(); /* a thread that has answered may still be at the open's next job */
	fuse_session_destroy(session);
	for (u32 i = 0; i < KEPT; i++) {
		free(answers[i]);
		answers[i] = NULL;
	}
}

void wire_lose_next(void)
{
	lose = true;
}

u64 wire_send(u32 opcode, u64 node, const void *in, size_t len, const void *more, size_t more_len)
{
	struct fuse_in_header head = {.len = sizeof(head) + len + more_len,
				      .opcode = opcode,
				      .unique = ++last,
				      .nodeid = node,
				      .uid = wire_uid,
				      .gid = wire_gid,
				      .pid = getpid()};
	char *request = malloc(head.len);
	struct fuse_buf buf = {.mem = request, .size = head.len};

	assert_non_null(request);
	memcpy(request, &head, sizeof(head));
	if (len)
		memcpy(request + sizeof(head), in, len);
	if (more_len)
		memcpy(request + sizeof(head) + len, more, more_len);
	fuse_session_process_buf(session, &buf);
	free(request);
	return head.unique;
}

bool wire_answered(u64 unique)
{
	bool there;

	pthread_mutex_lock(&lock);
	there = answers[unique % KEPT];
	pthread_mutex_unlock(&lock);
	return there;
}

s32 wire_wait(u64 unique, struct wire_answer *answer)
{
	struct wire_answer **at = &answers[unique % KEPT];

	pthread_mutex_lock(&lock);
	while (!*at)
		pthread_cond_wait(&changed, &lock);
	*answer = **at;
	free(*at);
	*at = NULL;
	pthread_mutex_unlock(&lock);
	return answer->error;
}

s32 wire_call(u32 opcode, u64 node, const void *in, size_t len, const void *more, size_t more_len,
	      struct wire_answer *answer)
{
	return wire_wait(wire_send(opcode, node, in, len, more, more_len), answer);
}

s32 wire_name(u32 opcode, u64 node, const char *name, struct wire_answer *answer)
{
	return wire_call(opcode, node, name, strlen(name) + 1, NULL, 0, answer);
}

s32 wire_open(u64 node, u32 flags, u64 *fh)
{
	struct fuse_open_in in = {.flags = flags};
	struct wire_answer answer;
	s32 err = wire_call(flags & O_DIRECTORY ? FUSE_OPENDIR : FUSE_OPEN, node, &in, sizeof(in),
			    NULL, 0, &answer);

	*fh = ((struct fuse_open_out *)answer.data)->fh;
	return err;
}

s32 wire_release(u64 node, u64 fh)
{
	struct fuse_release_in in = {.fh = fh};
	struct wire_answer answer;

	return wire_call(FUSE_RELEASE, node, &in, sizeof(in), NULL, 0, &answer);
}

ssize_t wire_read(u64 node, u64 fh, u32 flags, char *buf, size_t len, u64 off)
{
	struct fuse_read_in in = {.fh = fh, .offset = off, .size = len, .flags = flags};
	struct wire_answer answer;
	s32 err = wire_call(FUSE_READ, node, &in, sizeof(in), NULL, 0, &answer);

	assert_true(answer.len <= len);
	memcpy(buf, answer.data, answer.len);
	return err ? err : (ssize_t)answer.len;
}

ssize_t wire_write(u64 node, u64 fh, const char *text, u64 off)
{
	struct fuse_write_in in = {
		.fh = fh, .offset = off, .size = strlen(text), .flags = O_WRONLY};
	struct wire_answer answer;
	s32 err = wire_call(FUSE_WRITE, node, &in, sizeof(in), text, strlen(text), &answer);

	return err ? err : (ssize_t)((struct fuse_write_out *)answer.data)->size;
}
