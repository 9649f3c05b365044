/*
 * test_deferred.c - fs/fuse/deferred.c: order, waiting, answering later, cancelling
 *
 * libfuse is replaced by a request that notes its answer. Every case waits for answers, and none
 * for a time.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/node/backing.h"
#include "fs/fuse/deferred.h"
#include "fs/fuse/open.h"

struct fuse_req {
	bool answered;
	ssize_t result; /* bytes, or -errno */
	int turn; /* the how manieth answer it was */
	void (*interrupt)(fuse_req_t req, void *arg);
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turns;

static int answer(fuse_req_t req, ssize_t result)
{
	pthread_mutex_lock(&lock);
	req->answered = true;
	req->result = result;
	req->turn = ++turns;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

int fuse_reply_err(fuse_req_t req, int err)
{
	return answer(req, -err);
}

int fuse_reply_buf(fuse_req_t req, const char *buf, size_t size)
{
	return answer(req, size);
}

int fuse_reply_write(fuse_req_t req, size_t count)
{
	return answer(req, count);
}

void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
	pthread_mutex_lock(&lock);
	req->interrupt = func;
	req->arg = data;
	pthread_mutex_unlock(&lock);
}

static ssize_t result_of(fuse_req_t req)
{
	pthread_mutex_lock(&lock);
	while (!req->answered)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return req->result;
}

/* ---- a kind of file: it reads what `ready` says, and does what the first byte of a write says */

static struct fs_waitq waitq = FS_WAITQ_INIT;
static ssize_t ready;
static struct fs_req *later; /* under `lock` */
static bool gave_up;

static int kind_open(struct fs_open *open, struct fs_req *req)
{
	open->waitq = &waitq;
	return 0;
}

static ssize_t kind_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	ssize_t n = __atomic_load_n(&ready, __ATOMIC_SEQ_CST);

	return n ? n : -EAGAIN;
}

static void give_up(void *arg)
{
	__atomic_store_n(&gave_up, true, __ATOMIC_SEQ_CST);
}

static ssize_t kind_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	if (*buf == 'l') {
		fs_later(req, give_up, NULL);
		pthread_mutex_lock(&lock);
		later = req;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		return FS_LATER;
	}
	if (*buf == 'f')
		return fs_error(req, EINVAL, "this one fails");
	return len;
}

static const struct fs_node_ops kind_ops = {
	.name = "test",
	.type = S_IFREG,
	.slow = true,
	.open = kind_open,
	.read = kind_read,
	.write = kind_write,
};

static struct fs_node *node;
static struct fs_open *open_file;

static int begin(void **state)
{
	struct fs_req req = {.cred = {.uid = geteuid(), .gid = getegid(), .pid = getpid()}};
	struct fuse_file_info fi = {.flags = O_RDWR};

	fs_backing.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(fs_backing.root_fd, errno);
	fs_backing.root_ino = 1000;
	assert_int_equal(fs_node_root(&kind_ops, &node), 0);
	assert_int_equal(fs_open_new(&req, node, &fi, false), 0);
	open_file = fs_open_of(&fi);
	return 0;
}

static int end(void **state)
{
	worker_stop(); /* a thread that has answered may still be looking for the open's next job */
	fs_open_free(open_file);
	fs_node_unpin();
	close(fs_backing.root_fd);
	return 0;
}

static struct fs_job *job_of(fuse_req_t fuse, enum job_what what, const char *text)
{
	struct fs_req req = {.cred = open_file->opener, .op = "write", .node = node};
	struct fs_job *job = job_new(fuse, &req, open_file, what);

	assert_non_null(job);
	if (text) {
		job->buf = strdup(text);
		job->size = strlen(text);
	} else {
		job->size = 100;
	}
	return job;
}

static void start(fuse_req_t fuse, enum job_what what, const char *text)
{
	job_start(job_of(fuse, what, text));
}

/* As libfuse does for an INTERRUPT: with what the request was given, if anything. */
static void interrupt(fuse_req_t req)
{
	void (*func)(fuse_req_t req, void *arg);
	void *arg;

	pthread_mutex_lock(&lock);
	func = req->interrupt;
	arg = req->arg;
	pthread_mutex_unlock(&lock);
	if (func)
		func(req, arg);
}

static struct fs_req *wait_for_later(void)
{
	struct fs_req *req;

	pthread_mutex_lock(&lock);
	while (!later)
		pthread_cond_wait(&changed, &lock);
	req = later;
	later = NULL;
	pthread_mutex_unlock(&lock);
	return req;
}

/* ---- cases */

static void writes_of_one_open_keep_their_order(void **state)
{
	struct fuse_req reqs[50] = {0};

	for (u32 i = 0; i < ARRAY_SIZE(reqs); i++)
		start(&reqs[i], JOB_WRITE, "abc");
	for (u32 i = 0; i < ARRAY_SIZE(reqs); i++) {
		assert_int_equal(result_of(&reqs[i]), 3);
		if (i)
			assert_true(reqs[i].turn > reqs[i - 1].turn);
	}
}

static void a_read_waits_until_there_is_something(void **state)
{
	struct fuse_req read = {0}, write = {0};

	ready = 0;
	start(&read, JOB_READ, NULL);
	start(&write, JOB_WRITE, "abc"); /* need not wait for it */
	assert_int_equal(result_of(&write), 3);
	assert_false(read.answered);
	__atomic_store_n(&ready, 7, __ATOMIC_SEQ_CST);
	fs_wake(&waitq);
	assert_int_equal(result_of(&read), 7);
}

static void a_read_that_waits_is_interrupted(void **state)
{
	struct fuse_req read = {0};

	ready = 0;
	start(&read, JOB_READ, NULL);
	interrupt(&read);
	assert_int_equal(result_of(&read), -EINTR);
	interrupt(&read); /* nothing is left that it could reach */
	assert_null(waitq.jobs);
}

static void what_is_answered_later_keeps_the_next_waiting(void **state)
{
	struct fuse_req first = {0}, second = {0};
	struct fs_req *req;

	start(&first, JOB_WRITE, "later");
	req = wait_for_later();
	start(&second, JOB_WRITE, "abc");
	assert_false(second.answered);
	fs_finish(req, 5);
	assert_int_equal(result_of(&first), 5);
	assert_int_equal(result_of(&second), 3);
	assert_true(first.turn < second.turn);
}

static void who_gives_up_is_told_and_answered(void **state)
{
	struct fuse_req first = {0}, behind = {0};
	struct fs_req *req;

	gave_up = false;
	start(&first, JOB_WRITE, "later");
	req = wait_for_later();
	start(&behind, JOB_WRITE, "abc");
	interrupt(&behind); /* where it waits, behind the other */
	assert_int_equal(result_of(&behind), -EINTR);
	assert_false(first.answered);
	interrupt(&first);
	assert_true(__atomic_load_n(&gave_up, __ATOMIC_SEQ_CST));
	assert_true(fs_cancelled(req));
	fs_finish(req, -EINTR);
	assert_int_equal(result_of(&first), -EINTR);
}

static void a_reason_goes_to_the_log_before_the_answer(void **state)
{
	struct fs_text log = {0};
	struct fuse_req write = {0};

	start(&write, JOB_WRITE, "fail");
	assert_int_equal(result_of(&write), -EINVAL);
	error_log_print(open_file->opener.uid, &log);
	assert_non_null(log.buf);
	assert_non_null(strstr(log.buf, ": write: EINVAL: this one fails\n"));
	fs_text_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_of_one_open_keep_their_order),
		cmocka_unit_test(a_read_waits_until_there_is_something),
		cmocka_unit_test(a_read_that_waits_is_interrupted),
		cmocka_unit_test(what_is_answered_later_keeps_the_next_waiting),
		cmocka_unit_test(who_gives_up_is_told_and_answered),
		cmocka_unit_test(a_reason_goes_to_the_log_before_the_answer),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
