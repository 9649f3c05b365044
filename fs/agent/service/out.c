/*
 * out.c - see out.h
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include "fs/agent/agent.h"
#include "fs/agent/service/file.h"
#include "fs/agent/service/out.h"
#include "util/write_all.h"

#define OUT_MAGIC 0xa1b2c3d4u
#define LOCK_MS	  2000

struct out_header {
	u32 magic;
	u16 major, minor;
	u32 zone, accuracy, snaplen, link;
};

/*
 * The end of the last whole record: who wrote it may have been killed at half of one. -1: no file
 * of ours.
 */
static off_t last_end(int fd, u32 link)
{
	struct out_header header;
	struct out_record record;
	off_t at = sizeof(header);
	struct stat st;

	if (fstat(fd, &st) || pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.magic != OUT_MAGIC || header.link != link)
		return -1;
	while (pread(fd, &record, sizeof(record), at) == sizeof(record) &&
	       at + (off_t)sizeof(record) + record.caplen <= st.st_size)
		at += (off_t)sizeof(record) + record.caplen;
	return at;
}

/*
 * A source that was stopped may still have something to write: wait for it. Filesystems without
 * locks have none. -EBUSY.
 */
static int take(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	for (int i = 0; fcntl(fd, F_OFD_SETLK, &lock); i++) {
		if (errno != EAGAIN && errno != EACCES)
			return 0;
		if (i == LOCK_MS / 10)
			return -EBUSY;
		poll(NULL, 0, 10);
	}
	return 0;
}

/* Ready to be written at its end. */
static int begin(int fd, const struct out_request *req)
{
	const struct out_header header = {OUT_MAGIC, 2, 4, 0, 0, req->snaplen, req->link};
	off_t end = req->go_on ? last_end(fd, req->link) : 0;

	end = max(end, (off_t)0);
	if (ftruncate(fd, end) || lseek(fd, end, SEEK_SET) < 0)
		return -errno;
	return end ? 0 : write_all(fd, &header, sizeof(header));
}

static const struct filter_rule rules[] = {OUT_RULES};

void out_service(int sock, const void *arg, size_t len)
{
	static char buf[AGENT_MSG_MAX];
	struct error_record why = {0};
	struct out_request req;
	const char *path = (const char *)arg + sizeof(req);
	ssize_t n;
	int fd, err;

	if (len <= sizeof(req)) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	memcpy(&req, arg, sizeof(req));
	if (!agent_stay(sock)) {
		agent_report(sock, -errno, NULL);
		return;
	}
	fd = agent_file_open(path, AGENT_FILE_WRITE, &why);
	if (fd < 0) {
		agent_report(sock, fd, "%s", error_why(&why, fd));
		error_clear(&why);
		return;
	}
	err = agent_close_files(&FILTER_LIST(rules));
	if (err) {
		agent_report(sock, err, NULL);
		return;
	}
	err = take(fd);
	if (err) {
		agent_report(sock, err, "%s: another source writes it", path);
		return;
	}
	err = begin(fd, &req);
	if (err) {
		agent_report(sock, err, "%s: %s", path, strerror(-err));
		return;
	}
	agent_report(sock, 0, NULL);
	while ((n = agent_get(sock, buf, sizeof(buf))) > 0) {
		err = write_all(fd, buf, (size_t)n);
		if (err) {
			off_t end = last_end(fd, req.link);

			if (end > 0 && ftruncate(fd, end))
				err = -errno;
			break;
		}
	}
	if (close(fd) && !err)
		err = -errno;
	agent_report(sock, err, NULL);
}
