/*
 * test_device.c - fs/fuse/session/device.c: a server that dies under its mount, and its successor
 *
 * The test is the kernel: it has the other end of a socket in the place of /dev/fuse. Each server
 * is a child that shares the memory of a keeper.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "fs/fuse/fuse.h"
#include "fs/fuse/open.h"
#include "fs/fuse/session/device.h"
#include "fs/fuse/session/session.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/node/backing.h"
#include "fs/node/takeover.h"

#define RESEND 7 /* NOTIFY_RESEND */

/* What all servers of a case have done. */
static struct {
	u32 mkdirs, unlinks;
	u64 dies_before, dies_after; /* the answer to this request is sent */
	char dir[32];
} * seen;

static int kernel_fd; /* our end */
static pid_t server;

/* In the place of the C library's: what answers go out by. */
ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct fuse_out_header head;
	ssize_t n;

	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (seen->dies_before && (head.unique & ~REQUEST_AGAIN) == seen->dies_before)
		raise(SIGKILL);
	n = syscall(SYS_writev, fd, iov, count);
	if (seen->dies_after && (head.unique & ~REQUEST_AGAIN) == seen->dies_after)
		raise(SIGKILL);
	return n;
}

/* ---- the server's tree: names say what becomes of the server */

static const struct fs_node_ops dir_ops;

static int lookup(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node **out)
{
	struct stat st;

	if (fstatat(fs_node_fd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return fs_node_tree(dir, name, st.st_ino, 0, &dir_ops, out);
}

static int dir_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		     struct fs_node **out)
{
	u32 nth = ++seen->mkdirs;

	if (!strcmp(name, "fault"))
		abort();
	if (!strcmp(name, "killed-before") && nth == 1)
		raise(SIGKILL);
	if (mkdirat(fs_node_fd(dir), name, mode) < 0)
		return -errno;
	if (!strcmp(name, "killed-after") && nth == 1)
		raise(SIGKILL);
	return lookup(dir, req, name, out);
}

static int dir_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	seen->unlinks++;
	return -EXDEV;
}

static const struct fs_node_ops dir_ops = {.name = "directory",
					   .type = S_IFDIR,
					   .stable = true,
					   .lookup = lookup,
					   .mkdir = dir_mkdir,
					   .unlink = dir_unlink};
FS_KIND(dir_ops, "test directory");

/* As fs/main.c and fs/fuse/session/session.c do it. */
static void serve(int fd)
{
	char *argv[] = {"test", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	bool adopt = shared->starts++;
	struct fuse_session *se = session_new(&args);
	struct fs_node *root;
	struct stat st;

	shared->server = (u32)getpid();
	fs_backing.root_fd = open(seen->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!se || session_start() || fstat(fs_backing.root_fd, &st))
		_exit(3);
	fs_backing.root_ino = st.st_ino;
	if (fs_node_root(&dir_ops, &root) || device_start(se, fd, adopt) || fs_nodes_restore() ||
	    fs_opens_restore())
		_exit(4);
	fs_nodes_restored();
	if (adopt)
		device_resume();
	fuse_session_loop(se);
	_exit(0);
}

static int device_fd; /* the server's end, of which we keep a copy: the keeper's */

static void start(void)
{
	server = fork();
	assert_true(server >= 0);
	if (!server) {
		close(kernel_fd);
		serve(device_fd);
	}
}

/* How the server ended: its signal. */
static int ended(void)
{
	int status;

	assert_int_equal(waitpid(server, &status, 0), server);
	server = 0;
	assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status)));
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void kill_server(void)
{
	assert_return_code(kill(server, SIGKILL), errno);
	assert_int_equal(ended(), SIGKILL);
}

/* ---- the kernel */

static struct {
	struct fuse_out_header head;
	char data[8192];
} got;

static void send_request(u64 unique, u32 opcode, const void *in, size_t len, const char *name)
{
	struct {
		struct fuse_in_header head;
		char data[512];
	} request = {.head = {.opcode = opcode,
			      .unique = unique,
			      .nodeid = 1,
			      .uid = geteuid(),
			      .gid = getegid(),
			      .pid = getpid()}};
	size_t more = name ? strlen(name) + 1 : 0;

	if (len)
		memcpy(request.data, in, len);
	if (name)
		memcpy(request.data + len, name, more);
	request.head.len = sizeof(request.head) + len + more;
	assert_int_equal(write(kernel_fd, &request, request.head.len), request.head.len);
}

/* The next thing that the server says. */
static void receive(void)
{
	ssize_t n = read(kernel_fd, &got, sizeof(got));

	assert_true(n >= (ssize_t)sizeof(got.head));
	assert_int_equal(got.head.len, n);
}

static s32 answer_to(u64 unique)
{
	receive();
	assert_int_equal(got.head.unique, unique);
	return got.head.error;
}

static void send_mkdir(u64 unique, const char *name)
{
	struct fuse_mkdir_in in = {.mode = 0755};

	send_request(unique, FUSE_MKDIR, &in, sizeof(in), name);
}

static void say_init(void)
{
	struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION,
				  .minor = 38,
				  .max_readahead = 65536,
				  .flags = FUSE_INIT_EXT};

	send_request(2, FUSE_INIT, &in, sizeof(in), NULL);
	assert_int_equal(answer_to(2), 0);
}

static void receive_resend(void)
{
	assert_int_equal(answer_to(0), RESEND);
	assert_int_equal(got.head.len, sizeof(got.head));
}

static int begin(void **state)
{
	int ends[2];

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	strcpy(seen->dir, "/tmp/ubpffs-test-XXXXXX");
	assert_non_null(mkdtemp(seen->dir));
	assert_int_equal(shared_map(), 0);
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), errno);
	kernel_fd = ends[0];
	device_fd = ends[1];
	start();
	say_init();
	return 0;
}

static int end(void **state)
{
	char command[64];

	if (server) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	close(kernel_fd);
	close(device_fd);
	snprintf(command, sizeof(command), "rm -rf %s", seen->dir);
	munmap(seen, sizeof(*seen));
	shared = NULL;
	return system(command);
}

/* ---- cases */

static void the_session_may_be_resent(void **state)
{
	struct fuse_init_out *init = (struct fuse_init_out *)got.data;

	assert_true(init->flags & FUSE_INIT_EXT);
	assert_true(((const u32 *)init)[8] & 1u << 7); /* FUSE_HAS_RESEND, 39 - 32 */
	send_request(4, FUSE_STATFS, NULL, 0, NULL);
	assert_int_equal(answer_to(4), 0); /* so it is done with the one before */
	assert_true(shared->init_answered);
	assert_int_equal(shared->init_len,
			 sizeof(struct fuse_in_header) + sizeof(struct fuse_init_in));
}

static void a_successor_needs_no_init(void **state)
{
	send_request(10, FUSE_UNLINK, NULL, 0, "x");
	assert_int_equal(answer_to(10), -EXDEV);
	kill_server();
	start();
	receive_resend(); /* and no answer to an INIT */
	send_request(11, FUSE_UNLINK, NULL, 0, "x");
	assert_int_equal(answer_to(11), -EXDEV);
	assert_int_equal(seen->unlinks, 2);
}

static void what_was_read_is_done_by_the_next(void **state)
{
	send_mkdir(10, "killed-before");
	assert_int_equal(ended(), SIGKILL);
	start();
	receive_resend();
	send_mkdir(10 | REQUEST_AGAIN, "killed-before");
	assert_int_equal(answer_to(10 | REQUEST_AGAIN), 0);
	assert_int_equal(seen->mkdirs, 2);
}

/* The change was made, its answer was not: the second time finds what the first one did. */
static void what_was_made_is_not_eexist(void **state)
{
	u64 id;

	send_mkdir(10, "killed-after");
	assert_int_equal(ended(), SIGKILL);
	start();
	receive_resend();
	send_mkdir(10 | REQUEST_AGAIN, "killed-after");
	assert_int_equal(answer_to(10 | REQUEST_AGAIN), 0);
	id = ((const struct fuse_entry_out *)got.data)->nodeid;
	assert_true(id > 1);
	/* One that was there before is EEXIST, whatever died in between. */
	send_mkdir(12, "killed-after");
	assert_int_equal(answer_to(12), -EEXIST);
	send_mkdir(14 | REQUEST_AGAIN, "killed-after"); /* the last server never saw it */
	assert_int_equal(answer_to(14 | REQUEST_AGAIN), -EEXIST);
}

static void a_what_is_done_is_not_done_again(void **state)
{
	u64 id;

	seen->dies_before = 10;
	send_mkdir(10, "d");
	assert_int_equal(ended(), SIGKILL);
	assert_int_equal(seen->mkdirs, 1);
	start();
	receive_resend();
	seen->dies_before = 0;
	send_mkdir(10 | REQUEST_AGAIN, "d");
	assert_int_equal(answer_to(10 | REQUEST_AGAIN), 0);
	id = ((const struct fuse_entry_out *)got.data)->nodeid;
	assert_true(id > 1);
	assert_int_equal(seen->mkdirs, 1);
	/* A failure is an answer as well. */
	seen->dies_before = 12;
	send_request(12, FUSE_UNLINK, NULL, 0, "x");
	assert_int_equal(ended(), SIGKILL);
	start();
	receive_resend();
	seen->dies_before = 0;
	send_request(12 | REQUEST_AGAIN, FUSE_UNLINK, NULL, 0, "x");
	assert_int_equal(answer_to(12 | REQUEST_AGAIN), -EXDEV);
	assert_int_equal(seen->unlinks, 1);
}

/* The kernel has its answer, and asks for nothing again. */
static void what_was_answered_is_forgotten(void **state)
{
	seen->dies_after = 10;
	send_mkdir(10, "d");
	assert_int_equal(ended(), SIGKILL);
	assert_int_equal(answer_to(10), 0);
	for (u32 i = 0; i < 2; i++) {
		start();
		receive_resend();
		kill_server();
	}
	start();
	receive_resend();
	send_mkdir(10, "d"); /* the number comes again, for another request */
	assert_int_equal(answer_to(10), -EEXIST);
	assert_int_equal(seen->mkdirs, 2);
}

/* B. It is not begun a third time. */
static void b_a_request_that_is_deadly_is_eio(void **state)
{
	send_mkdir(10, "fault");
	assert_int_not_equal(ended(), SIGKILL);
	assert_int_equal(shared->culprit, 10);
	start();
	receive_resend();
	send_mkdir(10 | REQUEST_AGAIN, "fault");
	assert_int_not_equal(ended(), SIGKILL);
	start();
	receive_resend();
	send_mkdir(10 | REQUEST_AGAIN, "fault");
	assert_int_equal(answer_to(10 | REQUEST_AGAIN), -EIO);
	assert_int_equal(seen->mkdirs, 2);
	send_mkdir(12, "well");
	assert_int_equal(answer_to(12), 0);
}

static void nodes_are_known_to_the_next(void **state)
{
	struct fuse_getattr_in in = {0};
	struct {
		struct fuse_in_header head;
		struct fuse_getattr_in in;
	} ask = {.in = in};
	u64 id, ino;

	send_mkdir(10, "d");
	assert_int_equal(answer_to(10), 0);
	id = ((const struct fuse_entry_out *)got.data)->nodeid;
	ino = ((const struct fuse_entry_out *)got.data)->attr.ino;
	kill_server();
	start();
	receive_resend();
	ask.head = (struct fuse_in_header){
		.len = sizeof(ask), .opcode = FUSE_GETATTR, .unique = 12, .nodeid = id};
	assert_int_equal(write(kernel_fd, &ask, sizeof(ask)), sizeof(ask));
	assert_int_equal(answer_to(12), 0);
	assert_int_equal(((const struct fuse_attr_out *)got.data)->attr.ino, ino);
	assert_int_equal(((const struct fuse_attr_out *)got.data)->attr.mode, S_IFDIR | 0755);
}

static void open_files_and_their_pollers_are_known_to_the_next(void **state)
{
	struct fuse_open_in open_in = {.flags = O_RDONLY | O_DIRECTORY};
	struct fuse_poll_in poll_in = {.kh = 9, .flags = FUSE_POLL_SCHEDULE_NOTIFY};
	u64 kh;

	send_request(10, FUSE_OPENDIR, &open_in, sizeof(open_in), NULL);
	assert_int_equal(answer_to(10), 0);
	poll_in.fh = ((const struct fuse_open_out *)got.data)->fh;
	send_request(12, FUSE_POLL, &poll_in, sizeof(poll_in), NULL);
	assert_int_equal(answer_to(12), 0);
	kill_server();
	start();
	receive_resend();
	assert_int_equal(answer_to(0), FUSE_NOTIFY_POLL); /* whoever polls looks again */
	memcpy(&kh, got.data, sizeof(kh));
	assert_int_equal(kh, 9);
	poll_in.flags = 0;
	send_request(14, FUSE_POLL, &poll_in, sizeof(poll_in), NULL);
	assert_int_equal(answer_to(14), 0);
	/* A handle that no server gave is EIO. */
	poll_in.fh = 77777;
	send_request(16, FUSE_POLL, &poll_in, sizeof(poll_in), NULL);
	assert_int_equal(answer_to(16), -EIO);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_session_may_be_resent),
		CASE(a_successor_needs_no_init),
		CASE(what_was_read_is_done_by_the_next),
		CASE(what_was_made_is_not_eexist),
		CASE(a_what_is_done_is_not_done_again),
		CASE(what_was_answered_is_forgotten),
		CASE(b_a_request_that_is_deadly_is_eio),
		CASE(nodes_are_known_to_the_next),
		CASE(open_files_and_their_pollers_are_known_to_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
