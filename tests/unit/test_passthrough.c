/*
 * test_passthrough.c - fs/fuse/protocol/passthrough.c: what is added to two answers, and when it
 * is not
 *
 * The numbers are the kernel's: bits of INIT's flags2, of an open's flags.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/fuse/protocol/mounter.h"
#include "fs/fuse/protocol/passthrough.h"

#define EXT	    (1u << 30)
#define PASSTHROUGH (1u << 5) /* 37 - 32 */

#define NEEDS_ROOT()                                                            \
	do {                                                                    \
		if (geteuid()) {                                                \
			print_message("passthrough is for a server of root\n"); \
			skip();                                                 \
		}                                                               \
	} while (0)

static struct {
	struct fuse_in_header head;
	struct fuse_init_in init;
} request;
static u32 answer[16];
static struct fuse_out_header head;
static struct {
	u64 fh;
	u32 flags;
	s32 backing_id;
} opened;
static struct iovec iov[2] = {{&head, sizeof(head)}, {&opened, sizeof(opened)}}, out[2];
static u64 room[2];
static int null_fd;

/*
 * The C library's, for this program and the mounter: what the kernel is asked, where `answers` is
 * not 0.
 */
static struct {
	int answers;
	u32 asked_close, closed;
} * kernel;

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!kernel->answers)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	if (_IOC_NR(request) == 2) {
		kernel->asked_close++;
		kernel->closed = *(u32 *)arg;
		return 0;
	}
	return kernel->answers;
}

static void offer(u32 flags, u32 flags2, size_t len)
{
	memset(&request, 0, sizeof(request));
	memset(answer, 0, sizeof(answer));
	request.init.flags = flags;
	((u32 *)&request.init)[4] = flags2;
	passthrough_init(&request, len);
	passthrough_init_answer(answer);
}

static void start(void)
{
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(null_fd >= 0);
	assert_int_equal(mounter_start(&(struct mounter_job){.adopted = true}), 0);
	assert_int_equal(passthrough_start(null_fd), 0);
}

static void stop(void)
{
	passthrough_stop();
	mounter_stop();
	close(null_fd);
}

static void only_what_is_offered_is_taken(void **state)
{
	const size_t whole = sizeof(struct fuse_in_header) + 20;
	bool root = !geteuid();

	offer(EXT, PASSTHROUGH, whole); /* before the device is known */
	assert_int_equal(answer[3], 0);
	start();
	offer(EXT, PASSTHROUGH, whole);
	assert_int_equal(answer[3], root ? EXT : 0);
	assert_int_equal(answer[8], root ? PASSTHROUGH : 0);
	assert_int_equal(answer[9], root ? 2 : 0); /* max_stack_depth */
	offer(EXT, ~PASSTHROUGH, whole);
	assert_int_equal(answer[3], 0);
	offer(~EXT, PASSTHROUGH, whole);
	assert_int_equal(answer[3], 0);
	offer(EXT, PASSTHROUGH, whole);
	passthrough_init(&request, whole - 1); /* an older kernel's: says nothing */
	passthrough_init_answer(answer);
	assert_int_equal(answer[3], root ? EXT : 0);
	stop();
}

static void files_are_registered_once_the_kernel_agreed(void **state)
{
	start();
	offer(EXT, PASSTHROUGH, sizeof(request));
	assert_int_equal(passthrough_add(null_fd, 1), -EOPNOTSUPP);
	assert_int_equal(passthrough_known(1), 0);
	passthrough_remove(3, 1); /* nothing */
	passthrough_agreed();
	/* No FUSE device: the kernel's errno comes through. */
	assert_int_equal(passthrough_add(null_fd, 1), geteuid() ? -EOPNOTSUPP : -ENOTTY);
	stop();
	assert_int_equal(passthrough_add(null_fd, 1), -EOPNOTSUPP);
}

/* 0 and errors are no registration: nothing is taken back for them. */
static void what_was_registered_is_taken_back_once(void **state)
{
	NEEDS_ROOT();
	start();
	offer(EXT, PASSTHROUGH, sizeof(request));
	passthrough_agreed();
	kernel->answers = 12;
	assert_int_equal(passthrough_add(null_fd, 1), 12);
	passthrough_remove(0, 1);
	passthrough_remove(-EPERM, 1);
	assert_int_equal(kernel->asked_close, 0);
	passthrough_remove(12, 1);
	kernel->answers = 0;
	assert_int_equal(kernel->asked_close, 1);
	assert_int_equal(kernel->closed, 12);
	stop();
}

static u32 registering; /* threads that have begun */

/* Until there is no device any more: no other error, not that of a descriptor that is gone. */
static void *register_until_the_end(void *unused)
{
	bool begun = false;
	long err;

	while ((err = passthrough_add(null_fd, 1)) == -ENOTTY) {
		passthrough_remove(3, 1);
		if (!begun)
			__atomic_add_fetch(&registering, 1, __ATOMIC_SEQ_CST);
		begun = true;
	}
	return (void *)err;
}

static void the_end_waits_for_who_is_there(void **state)
{
	pthread_t threads[2];
	void *err;

	NEEDS_ROOT();
	for (int round = 0; round < 100; round++) {
		start();
		offer(EXT, PASSTHROUGH, sizeof(request));
		passthrough_agreed();
		registering = 0;
		for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_create(&threads[i], NULL, register_until_the_end, NULL);
		while (__atomic_load_n(&registering, __ATOMIC_SEQ_CST) < ARRAY_SIZE(threads))
			sched_yield();
		stop();
		for (u32 i = 0; i < ARRAY_SIZE(threads); i++) {
			pthread_join(threads[i], &err);
			assert_int_equal((long)err, -EOPNOTSUPP);
		}
	}
}

static void only_an_open_with_a_number_is_completed(void **state)
{
	opened.fh = 99;
	opened.flags = FOPEN_DIRECT_IO;
	opened.backing_id = 0;
	assert_ptr_equal(passthrough_open_answer(iov, 2, out, room), iov);
	passthrough_reply(-1);
	assert_ptr_equal(passthrough_open_answer(iov, 2, out, room), iov);
	passthrough_reply(12);
	assert_ptr_equal(passthrough_open_answer(iov, 1, out, room), iov);
	iov[1].iov_len = sizeof(opened) - 1;
	assert_ptr_equal(passthrough_open_answer(iov, 2, out, room), iov); /* another answer */
	iov[1].iov_len = sizeof(opened);
	assert_ptr_equal(passthrough_open_answer(iov, 2, out, room), out);
	assert_ptr_equal(out[0].iov_base, &head);
	assert_int_equal(out[1].iov_len, sizeof(opened));
	assert_int_equal(room[0], 99);
	assert_int_equal(((u32 *)room)[2], FOPEN_DIRECT_IO | 1u << 7);
	assert_int_equal(((s32 *)room)[3], 12);
	assert_int_equal(opened.backing_id, 0); /* libfuse's is left alone */
	passthrough_reply(0);
	assert_ptr_equal(passthrough_open_answer(iov, 2, out, room), iov);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_offered_is_taken),
		cmocka_unit_test(files_are_registered_once_the_kernel_agreed),
		cmocka_unit_test(what_was_registered_is_taken_back_once),
		cmocka_unit_test(the_end_waits_for_who_is_there),
		cmocka_unit_test(only_an_open_with_a_number_is_completed),
	};

	kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (kernel == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
