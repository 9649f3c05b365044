/*
 * session.c - see session.h
 */
#include "fs/fuse/session/session.h"
#include "fs/fuse/open.h"
#include "fs/node/cancel.h"
#include "fs/fuse/fuse.h"
#include "fs/fuse/protocol/mounter.h"
#include "fs/fuse/session/device.h"
#include "fs/keeper/keeper.h"
#include "fs/keeper/node_records.h"
#include "fs/keeper/open_records.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/lib/error_log.h"
#include "fs/node/backing.h"
#include "fs/node/takeover.h"
#include "fs/work/worker.h"

#include <signal.h>
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

int session_start(void)
{
	int err = shared ? requests_start() : 0;

	device_note_faults();
	if (!err)
		err = node_records_start();
	return err ? err : open_records_start();
}

/* What the last server had is here again, before anybody is answered. */
static int take_over(void)
{
	int err = fs_nodes_restore();

	if (!err)
		err = fs_opens_restore();
	fs_nodes_restored();
	if (fs_backing.all_restored)
		fs_backing.all_restored();
	if (err)
		fprintf(stderr, "ubpffs: what clients have open cannot be taken over: %s\n",
			strerror(-err));
	return err;
}

static void tell_pause(u64 ns)
{
	if (shared->last_replaced)
		fs_warn("the server was replaced by an upgrade; clients waited %llu ms",
			(unsigned long long)(ns / 1000000));
	else if (shared->last_signal)
		fs_warn("the server was ended by signal %d and replaced; clients waited %llu ms",
			shared->last_signal, (unsigned long long)(ns / 1000000));
	else
		fs_warn("the server ended and was replaced; clients waited %llu ms",
			(unsigned long long)(ns / 1000000));
}

int session_mount_point(struct fuse_session *se, const char *mountpoint)
{
	return fuse_session_mount(se, mountpoint) ? -EIO : fuse_session_fd(se);
}

/* In the first server the mount is made; a later one has it. */
static int mount_or_adopt(struct fuse_session *se)
{
	int fd = shared ? keeper_device() : -1, err;
	bool adopt = fd >= 0;

	if (!adopt)
		fd = mounter_mount();
	err = fd < 0 ? fd : device_start(se, fd, adopt);
	if (!err)
		err = take_over();
	if (!err && shared && !adopt)
		err = keeper_hand_over(fd);
	if (!err && adopt)
		device_resume();
	return err;
}

int session_mount(struct fuse_session *se)
{
	u64 pause;

	if (fuse_set_signal_handlers(se))
		return -1;
	if (mount_or_adopt(se)) {
		fuse_remove_signal_handlers(se);
		return -1;
	}
	if (shared) {
		pause = keeper_serving();
		if (shared->starts > 1)
			tell_pause(pause);
	}
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

/* A terminal's reach the server and the keeper, which passes them on: they end it once. */
static void ignore_stops(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

void session_unmount(struct fuse_session *se)
{
	if (shared)
		ignore_stops();
	worker_stop();
	device_stop();
	mounter_unmount(fuse_session_fd(se));
	fuse_remove_signal_handlers(se);
	fs_open_drop_all();
}

void session_free(struct fuse_session *se)
{
	if (se)
		fuse_session_destroy(se);
}
