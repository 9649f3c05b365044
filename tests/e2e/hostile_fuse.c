/*
 * hostile_fuse.c - a mount of an ordinary user with one file, some of whose requests are never
 * answered
 *
 *	hostile_fuse MOUNT REQUEST...	lookup getattr setattr open read write flush release
 *
 * The file is `f`, a capture without packets; what is written to it is gone. A line
 * on stdout for each request that is left unanswered. SIGTERM ends it.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_INO 2

static char **silent;

static bool is_silent(const char *request)
{
	for (char **s = silent; *s; s++)
		if (!strcmp(*s, request)) {
			printf("%s\n", request);
			fflush(stdout);
			return true;
		}
	return false;
}

static struct stat stat_of(fuse_ino_t ino)
{
	return (struct stat){
		.st_ino = ino,
		.st_nlink = 1,
		.st_size = ino == FILE_INO ? 4096 : 0, /* libelf reads no empty file */
		.st_mode = ino == FILE_INO ? S_IFREG | 0666 : S_IFDIR | 0777,
		.st_uid = getuid(),
		.st_gid = getgid(),
	};
}

static void h_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.ino = FILE_INO, .attr = stat_of(FILE_INO)};

	if (is_silent("lookup"))
		return;
	if (strcmp(name, "f"))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &e);
}

static void h_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = stat_of(ino);

	if (ino != FILE_INO || !is_silent("getattr"))
		fuse_reply_attr(req, &st, 0);
}

static void h_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		      struct fuse_file_info *fi)
{
	if (!is_silent("setattr"))
		h_getattr(req, ino, fi);
}

static void h_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	if (!is_silent("open"))
		fuse_reply_open(req, fi);
}

static void h_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		   struct fuse_file_info *fi)
{
	static const uint32_t header[] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};

	if (is_silent("read"))
		return;
	if (off >= (off_t)sizeof(header) || size < sizeof(header))
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, (const char *)header + off, sizeof(header) - (size_t)off);
}

static void h_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	if (!is_silent("write"))
		fuse_reply_write(req, size);
}

static void h_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!is_silent("flush"))
		fuse_reply_err(req, 0);
}

static void h_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!is_silent("release"))
		fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = h_lookup,
	.getattr = h_getattr,
	.setattr = h_setattr,
	.open = h_open,
	.read = h_read,
	.write = h_write,
	.flush = h_flush,
	.release = h_release,
};

int main(int argc, char **argv)
{
	char *name[] = {argv[0]};
	struct fuse_args args = FUSE_ARGS_INIT(1, name);
	struct fuse_session *se;
	int ret = 1;

	if (argc < 2) {
		fprintf(stderr, "usage: %s MOUNT REQUEST...\n", argv[0]);
		return 2;
	}
	silent = argv + 2;
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se)
		return 1;
	if (!fuse_set_signal_handlers(se) && !fuse_session_mount(se, argv[1])) {
		puts("mounted");
		fflush(stdout);
		ret = fuse_session_loop(se) < 0;
		fuse_session_unmount(se);
	}
	fuse_session_destroy(se);
	return ret;
}
