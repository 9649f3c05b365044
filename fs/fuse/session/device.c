/*
 * device.c - see fuse/session/device.h
 */
#include "fs/fuse/session/device.h"
#include "fs/fuse/protocol/current.h"
#include "fs/fuse/fuse.h"
#include "fs/fuse/protocol/passthrough.h"
#include "fs/fuse/protocol/protocol.h"
#include "fs/fuse/turns.h"
#include "fs/keeper/keeper.h"
#include "fs/keeper/open_records.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/lib/error_log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/uio.h>

#define POLL_NOTIFY   1 /* in a poll's flags: somebody is to be woken */
#define NOTIFY_POLL   1
#define NOTIFY_RESEND 7
#define INIT2_RESEND  (1u << (39 - 32)) /* in flags2 */
#define INIT_OUT_SIZE 64
#define PAGE	      4096

static struct fuse_session *session;
static int device = -1;
static u64 init_unique; /* of the INIT that is being answered */
static bool init_replayed; /* the last server had it */

/*
 * A connection that was aborted is over, as one that was unmounted: ENODEV ends the loop in order.
 * A reply that nobody waits for any more is none: ENOENT, as the kernel says of an interrupted
 * request.
 */
static ssize_t device_ended(ssize_t n, int ended)
{
	if (n < 0 && (errno == ECONNABORTED || errno == ENODEV))
		errno = ended;
	return n;
}

/* ---- requests */

/* Has it no answer, or none that can be sent before all the rest is there? */
static bool is_recorded(u32 opcode)
{
	switch (opcode) {
	case OPCODE_FORGET:
	case OPCODE_BATCH_FORGET:
	case OPCODE_INTERRUPT:
	case OPCODE_NOTIFY_REPLY:
	case OPCODE_INIT:
	case OPCODE_DESTROY:
		return false;
	default:
		return true;
	}
}

/* What changes something, or gives the kernel a reference. Reads of some kinds say so later. */
static bool keeps_answer(u32 opcode)
{
	switch (opcode) {
	case OPCODE_LOOKUP:
	case OPCODE_SYMLINK:
	case OPCODE_MKNOD:
	case OPCODE_MKDIR:
	case OPCODE_UNLINK:
	case OPCODE_RMDIR:
	case OPCODE_RENAME:
	case OPCODE_RENAME2:
	case OPCODE_LINK:
	case OPCODE_OPEN:
	case OPCODE_OPENDIR:
	case OPCODE_CREATE:
	case OPCODE_WRITE:
	case OPCODE_FLUSH:
	case OPCODE_IOCTL:
		return true;
	default:
		return false;
	}
}

static void answer(u64 unique, s32 error, const void *data, u32 len)
{
	struct fuse_answer_head head = {(u32)sizeof(head) + len, error, unique};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)data, len}};

	if (writev(device, iov, len ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV &&
	    errno != ECONNABORTED)
		perror("ubpffs: an answer that was kept");
	requests_end(unique);
}

/* True: it has its answer. */
static bool answered_before(const struct fuse_request_head *head)
{
	struct request_record *record;
	const void *data;
	s32 error;
	u32 len;

	switch (requests_begin(head->unique, head->opcode, keeps_answer(head->opcode), &record)) {
	case REQUEST_ANSWERED:
		error = requests_answer(record, &data, &len);
		answer(head->unique, error, data, len);
		return true;
	case REQUEST_DEADLY:
		error_log_add(head->uid, "", "?", EIO,
			      "the server died of this request twice: it is not tried again");
		fprintf(stderr,
			"ubpffs: a request of uid %u (opcode %u) ended the server twice: it is "
			"answered EIO\n",
			head->uid, head->opcode);
		answer(head->unique, -EIO, NULL, 0);
		return true;
	default:
		return false;
	}
}

static void save_init(const void *buf, size_t len)
{
	if (shared->init_answered || len > sizeof(shared->init))
		return;
	memcpy(shared->init, buf, len);
	__atomic_store_n(&shared->init_len, (u32)len, __ATOMIC_RELEASE);
}

/*
 * A kill while the kernel copies a request ends the request only where a page has to be found: the
 * buffers of this thread are there before.
 */
static void touch(char *buf, size_t len)
{
	static __thread char *touched;

	if (touched == buf)
		return;
	touched = buf;
	for (size_t i = 0; i < len; i += PAGE)
		((volatile char *)buf)[i] = 0;
}

static void polled(const void *buf)
{
	struct fuse_poll_request poll;

	memcpy(&poll, buf, sizeof(poll));
	if (poll.fh && poll.flags & POLL_NOTIFY)
		open_records_polled(poll.fh, poll.kh);
}

/* Once the kernel lets a file go it is closed, whoever answers that. */
static void released(const void *buf)
{
	struct fuse_release_request release;

	memcpy(&release, buf, sizeof(release));
	if (release.head.opcode == OPCODE_RELEASE || release.head.opcode == OPCODE_RELEASEDIR)
		open_records_closed(release.fh);
}

/* This thread's place for the beginning of what it reads; NULL: there are too many threads. */
static char *reader_head(void)
{
	static u32 readers;
	static __thread char *head;
	static __thread bool asked;

	if (!asked) {
		u32 i = __atomic_fetch_add(&readers, 1, __ATOMIC_RELAXED);

		asked = true;
		head = shared && i < SHARED_READERS ? shared->heads[i] : NULL;
	}
	return head;
}

/* What was read is recorded. */
static void clear_head(char *head)
{
	if (head)
		__atomic_store_n(&((struct fuse_request_head *)head)->unique, 0, __ATOMIC_RELEASE);
}

/* True: this request is somebody else's, or has its answer. */
static bool taken(void *buf, size_t len)
{
	struct fuse_request_head head;

	if (len < sizeof(head))
		return false;
	memcpy(&head, buf, sizeof(head));
	current_set_request(0);
	if (head.opcode == OPCODE_INIT) {
		init_unique = head.unique;
		passthrough_init(buf, len);
		if (shared)
			save_init(buf, len);
		return false;
	}
	if (shared && is_recorded(head.opcode)) {
		current_set_request(head.unique);
		if (answered_before(&head))
			return true;
		if (len >= sizeof(struct fuse_release_request))
			released(buf);
		if (head.opcode == OPCODE_POLL && len >= sizeof(struct fuse_poll_request))
			polled(buf);
		clear_head(reader_head());
	}
	return turns_hand_on(buf, len);
}

/*
 * From the moment that the kernel has handed a request out, the next server knows of it: the kernel
 * writes its beginning into the shared memory.
 */
static ssize_t read_request(int fd, char *buf, size_t len)
{
	char *head = reader_head();
	struct iovec iov[2] = {{head, SHARED_HEAD}, {buf + SHARED_HEAD, len - SHARED_HEAD}};
	ssize_t n;

	if (!head || len <= SHARED_HEAD)
		return read(fd, buf, len);
	n = readv(fd, iov, 2);
	if (n > 0)
		memcpy(buf, head, min((size_t)n, (size_t)SHARED_HEAD));
	return n;
}

static ssize_t device_read(int fd, void *buf, size_t len, void *unused)
{
	ssize_t n;

	if (shared)
		touch(buf, len);
	do {
		turns_done();
		n = read_request(fd, buf, len);
	} while (n > 0 && taken(buf, (size_t)n));
	return device_ended(n, ENODEV);
}

/* ---- answers */

/* The flags that libfuse does not know. */
static ssize_t write_init(int fd, struct iovec *iov, int count)
{
	u32 init[INIT_OUT_SIZE / sizeof(u32)]; /* major minor max_readahead flags ... flags2 */
	struct iovec out[2] = {iov[0], {init, sizeof(init)}};
	ssize_t n;

	memcpy(init, iov[1].iov_base, sizeof(init));
	passthrough_init_answer(init);
	if (shared) {
		init[3] |= INIT_EXT;
		init[8] |= INIT2_RESEND;
	}
	/* Of what the last server had sent the kernel knows nothing more. */
	n = shared && shared->init_answered ? 0 : writev(fd, out, 2);
	if (n < 0 && !(init_replayed && errno == ENOENT))
		return n;
	n = (ssize_t)(iov[0].iov_len + iov[1].iov_len);
	passthrough_agreed();
	if (shared)
		__atomic_store_n(&shared->init_answered, 1, __ATOMIC_RELEASE);
	return n;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count)
{
	const struct iovec *send;
	struct fuse_answer_head head;
	struct iovec opened[2];
	u64 room[2];
	ssize_t n;
	int err;

	if (iov[0].iov_len != sizeof(head))
		return writev(fd, iov, count);
	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (init_unique && head.unique == init_unique && count == 2 && !head.error &&
	    iov[1].iov_len == INIT_OUT_SIZE) {
		init_unique = 0;
		return write_init(fd, iov, count);
	}
	send = passthrough_open_answer(iov, count, opened, room);
	if (!shared || !head.unique)
		return writev(fd, send, count);
	requests_done(head.unique, head.error, send, count);
	n = writev(fd, send, count);
	err = errno;
	requests_end(head.unique);
	errno = err;
	return n;
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *unused)
{
	return device_ended(write_answer(fd, iov, count), ENOENT);
}

/* ---- a request that ends the server */

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static struct sigaction old_actions[ARRAY_SIZE(faults)];

/* Other handlers (the engine's, for programs) come first, and call this one for what is no fault
 * of theirs. */
static void note_fault(int sig, siginfo_t *info, void *context)
{
	u64 unique = current_request();

	if (unique)
		__atomic_store_n(&shared->culprit, unique & ~REQUEST_AGAIN, __ATOMIC_RELEASE);
	for (u32 i = 0; i < ARRAY_SIZE(faults); i++)
		if (faults[i] == sig && old_actions[i].sa_flags & SA_SIGINFO)
			old_actions[i].sa_sigaction(sig, info, context); /* a sanitizer's */
	signal(sig, SIG_DFL);
	raise(sig);
}

void device_note_faults(void)
{
	struct sigaction sa = {.sa_sigaction = note_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	for (u32 i = 0; shared && i < ARRAY_SIZE(faults); i++)
		sigaction(faults[i], &sa, &old_actions[i]);
}

/* ---- from start to end */

static int replay_init(void)
{
	struct fuse_buf buf = {.size = shared->init_len};

	buf.mem = malloc(buf.size);
	if (!buf.mem)
		return -ENOMEM;
	memcpy(buf.mem, shared->init, buf.size);
	init_replayed = true;
	taken(buf.mem, buf.size);
	fuse_session_process_buf(session, &buf);
	init_replayed = false;
	free(buf.mem);
	return 0;
}

/* What the last server had read and not yet recorded. */
static void each_head(void (*fn)(const struct fuse_request_head *head, const char *bytes))
{
	for (u32 i = 0; i < SHARED_READERS; i++) {
		struct fuse_request_head head;

		memcpy(&head, shared->heads[i], sizeof(head));
		if (head.unique && is_recorded(head.opcode))
			fn(&head, shared->heads[i]);
	}
}

static void head_released(const struct fuse_request_head *head, const char *bytes)
{
	released(bytes);
}

/* The first request: the last server may have died before it had saved it. */
static int take_init(void)
{
	for (u32 i = 0; !shared->init_len && i < SHARED_READERS; i++) {
		struct fuse_request_head head;

		memcpy(&head, shared->heads[i], sizeof(head));
		if (head.unique && head.opcode == OPCODE_INIT && head.len <= SHARED_HEAD)
			save_init(shared->heads[i], head.len);
	}
	return shared->init_len ? replay_init() : 0; /* else the kernel has it yet */
}

int device_start(struct fuse_session *se, int fd, bool adopt)
{
	static const struct fuse_custom_io io = {.writev = device_writev, .read = device_read};
	int err;

	session = se;
	device = fd;
	turns_start(se);
	err = fuse_session_custom_io(se, &io, fd);
	if (!err)
		err = passthrough_start(fd);
	if (err || !adopt)
		return err;
	each_head(head_released);
	return take_init();
}

static int notify(s32 code, const void *data, u32 len)
{
	struct fuse_answer_head head = {(u32)sizeof(head) + len, code, 0};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)data, len}};

	return writev(device, iov, len ? 2 : 1) < 0 ? -errno : 0;
}

/* What nobody sends again: its answer where there is one. Who has it already is not there. */
static void answer_old(u64 unique, const struct request_record *record)
{
	const void *data = NULL;
	s32 error = -EIO;
	u32 len = 0;

	if (!requests_pending(unique))
		error = requests_answer(record, &data, &len);
	answer(unique, error, data, len);
}

static void answer_head(const struct fuse_request_head *head, const char *bytes)
{
	if (!requests_known(head->unique))
		answer(head->unique, -EIO, NULL, 0);
}

static void wake_poller(u64 kh)
{
	notify(NOTIFY_POLL, &kh, sizeof(kh));
}

void device_resume(void)
{
	if (notify(NOTIFY_RESEND, NULL, 0)) {
		fs_warn("this kernel sends no request again: those that the last server had are "
			"EIO");
		each_head(answer_head);
		requests_each_old(answer_old);
	}
	memset(shared->heads, 0, sizeof(shared->heads));
	open_records_each_poller(wake_poller);
}

void device_stop(void)
{
	passthrough_stop();
}
