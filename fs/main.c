/*
 * main.c - the server: the order in which its parts begin and end
 *
 * Used like any libfuse program (options.c).
 */
#include "fs/cgroups/cgroups.h"
#include "fs/events/events.h"
#include "fs/tree/root.h"
#include "fs/tree/limit_files.h"
#include "fs/caller/limits.h"
#include "fs/fsck.h"
#include "fs/mount.h"
#include "fs/options.h"
#include "fs/perf_map.h"
#include "fs/sandbox/descriptors.h"
#include "fs/sandbox/sandbox.h"
#include "fs/service.h"
#include "fs/agent/agent.h"
#include "fs/agent/service/services.h"
#include "fs/enforce/enforce.h"
#include "fs/work/cpu_limit.h"
#include "fs/fuse/protocol/mounter.h"
#include "fs/fuse/session/session.h"
#include "fs/keeper/keeper.h"
#include "fs/keeper/shared.h"
#include "fs/store/objects/object.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/names/read_back.h"
#include "fs/store/names/recovery.h"
#include "load.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- daemon: the parent waits until the mount is there, and gives the child's verdict */

static int daemon_pipe = -1;
static bool in_server; /* of a keeper's */

static int daemon_start(void)
{
	int fds[2];
	char ok = 0;
	pid_t pid;
	int status;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		perror("ubpffs");
		return -1;
	}
	if (!pid) {
		close(fds[0]);
		daemon_pipe = fds[1];
		setsid();
		return 0;
	}
	close(fds[1]);
	if (read(fds[0], &ok, 1) == 1)
		_exit(0);
	waitpid(pid, &status, 0);
	_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

static void daemon_ready(void)
{
	if (daemon_pipe < 0)
		return;
	if (chdir("/") < 0)
		perror("ubpffs: /");
	null_to(STDIN_FILENO, STDERR_FILENO);
	/* The keeper says it. */
	if (!in_server && write(daemon_pipe, "1", 1) != 1)
		perror("ubpffs");
	close(daemon_pipe);
	daemon_pipe = -1;
}

/* ---- descriptors: as many as the hard limit allows, for the server alone */

static struct rlimit files_before;

static void files_of_child(void)
{
	setrlimit(RLIMIT_NOFILE, &files_before);
}

static void raise_files(void)
{
	struct rlimit all;

	if (getrlimit(RLIMIT_NOFILE, &files_before) < 0)
		return;
	all = files_before;
	all.rlim_cur = all.rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &all))
		pthread_atfork(NULL, NULL, files_of_child);
}

/* ---- from start to end */

static int run_mounted(struct fuse_session *se, const char *mountpoint)
{
	int ret = session_mount(se);

	mount_claimed();
	if (ret) {
		fprintf(stderr, "ubpffs: %s: %s\n", mountpoint, mount_failed(mountpoint));
		return 1;
	}
	daemon_ready();
	service_mounted();
	read_back_begin();
	ret = session_serve(se);
	/* What runs is answered while there is somebody to answer to. */
	session_cancel();
	events_end_starts();
	session_unmount(se);
	read_back_end();
	return ret ? 1 : 0;
}

/* Before the tree is read, so that its cgroups find their processes; after it the rules. */
static int enforce_begin(const struct options *options, struct enforce **out)
{
	struct enforce_options e = {options->enforce == ENFORCE_FAIL_CLOSED,
				    options->enforce_cgroup, options->state};
	struct error_record why = {0};
	int err = options->enforce ? enforce_start(&e, out, &why) : 0;

	if (err)
		fprintf(stderr, "ubpffs: enforce: %s\n", error_why(&why, err));
	error_clear(&why);
	return err;
}

static int enforce_rules(struct enforce *enforce)
{
	struct error_record why = {0};
	int err = enforce_ready(enforce, &why);

	if (err)
		fprintf(stderr, "ubpffs: enforce: %s\n", error_why(&why, err));
	error_clear(&why);
	return err;
}

/* The state's directory is there, and nothing in it was read but its lock and version. */
static int give_up_rights(const struct options *options, struct error_record *why)
{
	const struct sandbox what = {tree.dir_fd, options->btf, options->enforce != ENFORCE_NOT};
	struct error_record step = {0};
	int err = options->sandbox_off ? 0 : sandbox_enter(&what, &step);

	if (err)
		error_set(why, -err, "the sandbox: %s: -o sandbox=off goes without",
			  error_why(&step, err));
	error_clear(&step);
	return err;
}

static int run_server(struct fuse_session *se, const struct options *options)
{
	struct enforce *enforce = NULL;
	struct error_record why = {0};
	int err = tree_open(options->state, options->mountpoint, &why), ret = 1;

	if (!err)
		err = agent_refuse(tree.dir_fd);
	if (!err)
		err = give_up_rights(options, &why);
	if (err) {
		fprintf(stderr, "ubpffs: %s\n", error_why(&why, err));
		error_clear(&why);
		tree_close();
		return 1;
	}
	err = durable_start(options->durable, tree.dir_fd);
	if (err) {
		fprintf(stderr, "ubpffs: %s: the disk: %s\n", options->state, strerror(-err));
		tree_close();
		return 1;
	}
	limits_size_defaults(tree.dir_fd);
	bpf_load_share_mem(limits_all(LIMIT_VERIFY_MEMORY));
	if (enforce_begin(options, &enforce)) {
		tree_close();
		return 1;
	}
	err = limit_files_start();
	if (!err)
		err = session_start();
	if (!err)
		err = store_start();
	if (!err)
		err = cgroups_start(enforce);
	if (!err)
		err = tree_charge();
	if (!err)
		err = root_start();
	if (err) {
		fprintf(stderr, "ubpffs: %s: the state cannot be read: %s\n", options->state,
			strerror(-err));
	} else if (!enforce_rules(enforce)) {
		events_start();
		durable_settle(NULL); /* what the start has put right */
		ret = run_mounted(se, options->mountpoint);
		/* No worker is left to remove files when the disk knows that they may go. */
		if (durable_mode() != DURABLE_NONE)
			store_keep_files(true);
	}
	events_stop();
	enforce_stop(enforce);
	cpu_limit_stop();
	cgroups_stop();
	store_stop();
	tree_close();
	return ret;
}

struct server {
	struct fuse_session *se;
	struct options options;
};

static int serve(void *arg)
{
	struct server *server = arg;
	const struct options *options = &server->options;
	const struct mounter_job job = {
		.session = server->se,
		.mountpoint = options->mountpoint,
		.mount = session_mount_point,
		.take_away = mount_take_away,
		.adopted = keeper_device() >= 0,
		.daemon = !options->foreground,
		.narrow = !options->sandbox_off,
	};
	int ret = agent_start(agent_services, !options->foreground, !options->sandbox_off);

	if (ret) {
		fprintf(stderr, "ubpffs: the process that acts as clients: %s\n", strerror(-ret));
		return 1;
	}
	ret = mounter_start(&job);
	if (ret) {
		fprintf(stderr, "ubpffs: the process that mounts: %s\n", strerror(-ret));
		ret = 1;
	} else if (options->perf_map && (ret = perf_map_begin())) {
		fprintf(stderr, "ubpffs: /tmp/perf-%d.map: %s: start without -o perf_map\n",
			getpid(), strerror(-ret));
		ret = 1;
	} else {
		raise_files();
		strict_set(options->strict);
		ret = run_server(server->se, options);
	}
	mounter_stop();
	agent_stop();
	return ret;
}

/* ---- in the keeper */

static void server_mounted(void *arg)
{
	mount_claimed();
	daemon_ready();
}

static void server_gone(void *arg)
{
	struct server *server = arg;

	mount_take_away(server->options.mountpoint);
}

static int keep(struct server *server)
{
	struct fuse_args again = FUSE_ARGS_INIT(0, NULL);
	struct keeper_job job = {server, NULL, serve, server_mounted, server_gone};
	int ret = options_again(&server->options, &again);

	job.argv = again.argv;
	if (!ret)
		ret = keeper_run(&job, &in_server);
	if (ret < 0) {
		fprintf(stderr, "ubpffs: the keeper: %s\n", strerror(-ret));
		ret = 1;
	}
	fuse_opt_free_args(&again);
	return ret;
}

/* ---- started by a keeper */

static int no_keeper(int err)
{
	fprintf(stderr, "ubpffs: %s\n",
		err == -EPROTO ? "the memory of this mount's servers is of another version, which "
				 "this program cannot go on with: unmount, and start it"
			       : "keeper=server and keeper=check are for a keeper to say");
	return 1;
}

static int take_over(struct server *server)
{
	int err = keeper_join();

	in_server = true;
	return err ? no_keeper(err) : serve(server);
}

static bool can_go_on(void *arg)
{
	const struct server *server = arg;
	struct error_record why = {0};
	int err = tree_check(server->options.state, &why);

	if (err)
		fprintf(stderr, "ubpffs: %s\n", error_why(&why, err));
	error_clear(&why);
	return !err;
}

static int probe(struct server *server)
{
	int ret = keeper_probe(can_go_on, server);

	return ret < 0 ? no_keeper(ret) : ret;
}

static bool claim_mount(const struct options *options)
{
	struct error_record why = {0};
	int err = mount_possible(options->allow_other, &why);

	if (!err)
		err = mount_claim(options->mountpoint, &why);
	if (err)
		fprintf(stderr, "ubpffs: %s\n", error_why(&why, EBUSY));
	error_clear(&why);
	return !err;
}

static int run(struct server *server)
{
	struct options *options = &server->options;
	int err = options->sandbox_off ? 0 : sandbox_hide_memory();

	if (err) {
		fprintf(stderr, "ubpffs: dumps: %s: -o sandbox=off goes without\n", strerror(-err));
		return 1;
	}
	if (options->keeper == KEEPER_SERVER)
		return take_over(server);
	if (options->keeper == KEEPER_PROBE)
		return probe(server);
	if (!claim_mount(options) || !options_choose_state(options))
		return 1;
	if (!options->foreground && daemon_start() < 0)
		return 1;
	err = service_start(options->mountpoint);
	if (err) {
		fprintf(stderr, "ubpffs: the service manager of $NOTIFY_SOCKET: %s\n",
			strerror(-err));
		return 1;
	}
	return options->keeper == KEEPER_ON ? keep(server) : serve(server);
}

int main(int argc, char **argv)
{
	struct server server = {0};
	int ret;

	umask(022);
	if (options_parse(&server.options, argc, argv, &ret))
		goto out;
	if (server.options.fsck) {
		ret = fsck(server.options.state, server.options.fsck == FSCK_LOOK,
			   server.options.fsck_json);
		goto out;
	}
	server.se = session_new(&server.options.args);
	ret = server.se ? run(&server) : 1;
out:
	mount_claimed();
	session_free(server.se);
	options_free(&server.options);
	return ret;
}
