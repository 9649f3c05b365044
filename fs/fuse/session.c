/*
 * session.c - see session.h
 */
#include "fs/fuse/session.h"
#include "fs/fuse/open.h"
#include "fs/node/cancel.h"
#include "fs/fuse/fuse.h"
#include "fs/fuse/passthrough.h"
#include "fs/work/worker.h"

#include <stdio.h>

#define MAX_THREADS 10

int session_options(struct fuse_args *args, struct session_options *out)
{
	struct fuse_cmdline_opts cmdline = {0};

	if (fuse_parse_cmdline(args, &cmdline) < 0)
		return -1;
	free(cmdline.mountpoint);
	out->foreground = cmdline.foreground;
	out->help = cmdline.show_help;
	out->version = cmdline.show_version;
	return 0;
}

void session_help(void)
{
	fuse_lowlevel_help();
}

struct fuse_session *session_new(struct fuse_args *args)
{
	return fuse_session_new(args, &ubpffs_fuse_ops, sizeof(ubpffs_fuse_ops), NULL);
}

int session_mount(struct fuse_session *se, const char *mountpoint)
{
	if (fuse_set_signal_handlers(se))
		return -1;
	if (fuse_session_mount(se, mountpoint)) {
		fuse_remove_signal_handlers(se);
		return -1;
	}
	passthrough_start(se);
	return 0;
}

int session_serve(struct fuse_session *se)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	if (!config) {
		perror("ubpffs");
		return -1;
	}
	fuse_loop_cfg_set_max_threads(config, MAX_THREADS);
	fuse_loop_cfg_set_idle_threads(config, MAX_THREADS);
	err = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return err < 0 ? -1 : 0;
}

void session_cancel(void)
{
	watch_stop();
}

void session_unmount(struct fuse_session *se)
{
	worker_stop();
	passthrough_stop();
	fuse_session_unmount(se);
	fuse_remove_signal_handlers(se);
	fs_open_drop_all();
}

void session_free(struct fuse_session *se)
{
	if (se)
		fuse_session_destroy(se);
}
