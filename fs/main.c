/*
 * main.c - the server: options, the state directory, the mount, and the order in which all of it ends
 *
 * Used like any libfuse program. As root the mount is for everybody (allow_other; the permission bits decide), as
 * any other user for its owner only: allow_other then needs trust_others as well, for the server acts with its
 * owner's rights on behalf of all.
 */
#include "fs/cgroups/cgroups.h"
#include "fs/events/events.h"
#include "fs/fuse/fuse.h"
#include "fs/tree/root.h"
#include "fs/tree/limit_files.h"
#include "fs/lib/limits.h"
#include "fs/mount.h"
#include "fs/agent/agent.h"
#include "fs/enforce/enforce.h"
#include "fs/fuse/pace.h"
#include "fs/fuse/passthrough.h"
#include "fs/store/object.h"
#include "fs/store/state_tree.h"
#include "fs/fuse/cancel.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MAX_THREADS 10

struct options {
	char *state;
	int allow_other, trust_others, owner_only;
	int enforce; /* 0 or enum enforce_mode */
	char *enforce_cgroup;
	char *plain[2]; /* the mount point; from mount(8): a source, then the mount point */
};

enum enforce_mode {
	ENFORCE_FAIL_OPEN = 1,
	ENFORCE_FAIL_CLOSED,
};

#define OPTION(text, field)                              \
	{                                                \
		text, offsetof(struct options, field), 1 \
	}

static const struct fuse_opt option_table[] = {
	OPTION("state=%s", state),
	OPTION("allow_other", allow_other),
	OPTION("trust_others", trust_others),
	OPTION("owner_only", owner_only),
	{"enforce", offsetof(struct options, enforce), ENFORCE_FAIL_OPEN},
	{"enforce=fail-open", offsetof(struct options, enforce), ENFORCE_FAIL_OPEN},
	{"enforce=fail-closed", offsetof(struct options, enforce), ENFORCE_FAIL_CLOSED},
	OPTION("enforce_cgroup=%s", enforce_cgroup),
	/* What mount(8) and fstab add. */
	FUSE_OPT_KEY("auto", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("noauto", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("user", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("users", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("nofail", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("defaults", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_KEY("_netdev", FUSE_OPT_KEY_DISCARD),
	FUSE_OPT_END,
};

static void usage(const char *self)
{
	printf("usage: %s [options] MOUNTPOINT\n\n"
	       "A userspace bpffs. cat MOUNTPOINT/README says how to use it; fusermount3 -u "
	       "MOUNTPOINT\n"
	       "ends the server.\n\n"
	       "    -o state=DIR       where objects live (default: ubpffs in the user's runtime\n"
	       "                       directory, else /tmp/ubpffs-UID); made if it is missing, "
	       "must be yours alone\n"
	       "    -o allow_other     other users may use the mount (root: this is the default)\n"
	       "    -o trust_others    needed beside allow_other when the server is not root\n"
	       "    -o owner_only      root: no allow_other\n"
	       "    -o enforce[=fail-open|fail-closed]\n"
	       "                       the programs of M/cgroup decide over real packets; when "
	       "the\n"
	       "                       server is killed, packets flow (the default) or stop\n"
	       "    -o enforce_cgroup=PATH\n"
	       "                       a delegated directory of cgroup v2 to work in\n"
	       "    -f                 stay in the foreground\n"
	       "    -d                 print every request (implies -f)\n"
	       "    -h, -V             this text; the version\n",
	       self);
	fuse_lowlevel_help();
}

static int option_proc(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct options *options = data;

	if (key == FUSE_OPT_KEY_OPT && !strncmp(arg, "x-", 2))
		return 0; /* fstab's comments */
	if (key != FUSE_OPT_KEY_NONOPT)
		return 1;
	for (u32 i = 0; i < ARRAY_SIZE(options->plain); i++) {
		if (options->plain[i])
			continue;
		options->plain[i] = strdup(arg);
		return options->plain[i] ? 0 : -1;
	}
	fprintf(stderr, "ubpffs: %s: too many arguments\n", arg);
	return -1;
}

/* ---- daemon: the parent waits until the mount is there, and gives the child's verdict */

static int daemon_pipe = -1;

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
	int null;

	if (daemon_pipe < 0)
		return;
	if (chdir("/") < 0)
		perror("ubpffs: /");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		close(null);
	}
	if (write(daemon_pipe, "1", 1) != 1)
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

/* ---- options */

static bool check_options(struct options *options, struct fuse_args *args)
{
	bool root = !geteuid();

	if (options->allow_other && !root && !options->trust_others) {
		fprintf(stderr,
			"ubpffs: this server is not root: with allow_other every other user acts "
			"through "
			"your account.\nubpffs: if you mean it, say -o allow_other,trust_others\n");
		return false;
	}
	if (options->allow_other && options->owner_only) {
		fprintf(stderr, "ubpffs: allow_other and owner_only exclude each other\n");
		return false;
	}
	if (root && !options->owner_only)
		options->allow_other = 1;
	return !fuse_opt_add_arg(args, "-odefault_permissions,fsname=ubpffs,subtype=ubpffs") &&
	       (!options->allow_other || !fuse_opt_add_arg(args, "-oallow_other"));
}

/* Last, for it may make the directory that is above the state. */
static bool choose_state(struct options *options)
{
	if (!options->state && options->plain[1] && options->plain[0][0] == '/')
		options->state = strdup(options->plain[0]); /* mount DIR M -t fuse.ubpffs */
	if (!options->state)
		options->state = tree_default_path();
	if (!options->state) {
		fprintf(stderr,
			"ubpffs: no runtime directory (XDG_RUNTIME_DIR), and /tmp/ubpffs-%u cannot "
			"be made "
			"or is somebody else's: say -o state=DIR\n",
			geteuid());
		return false;
	}
	return true;
}

/* mount(8) gives a source first, which is the state's directory or any word. */
static bool one_mount_point(const struct options *options)
{
	const char *source = options->plain[0];
	struct stat st;

	if (!options->plain[1] || source[0] != '/')
		return true;
	if (!options->state &&
	    (stat(source, &st) < 0 || (st.st_uid == geteuid() && !(st.st_mode & 077))))
		return true;
	fprintf(stderr,
		"ubpffs: one server has one mount point, and %s %s: say -o state=DIR for where "
		"objects live\n",
		source, options->state ? "is a second one" : "is no state directory of yours");
	return false;
}

/* ---- from start to end */

static int serve(struct fuse_session *se)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err;

	if (!config)
		return 1;
	fuse_loop_cfg_set_max_threads(config, MAX_THREADS);
	fuse_loop_cfg_set_idle_threads(config, MAX_THREADS);
	err = fuse_session_loop_mt(se, config);
	fuse_loop_cfg_destroy(config);
	return err < 0 ? 1 : 0; /* a signal ends it in order, too */
}

static int run_mounted(struct fuse_session *se, const char *mountpoint)
{
	int ret = 1;

	if (!fuse_set_signal_handlers(se)) {
		int mounted = fuse_session_mount(se, mountpoint);

		mount_claimed();
		if (!mounted) {
			passthrough_start(se);
			daemon_ready();
			ret = serve(se);
			/* What runs is answered while there is somebody to answer to. */
			watch_stop();
			events_end_starts();
			worker_stop();
			passthrough_stop();
			fuse_session_unmount(se);
		}
		fuse_remove_signal_handlers(se);
	}
	fs_open_drop_all();
	return ret;
}

/* Before the tree is read, so that its cgroups find their processes; after it the rules. */
static int enforce_begin(const struct options *options)
{
	struct enforce_options e = {options->enforce == ENFORCE_FAIL_CLOSED,
				    options->enforce_cgroup, options->state};
	char *why = NULL;
	int err = options->enforce ? enforce_start(&e, &why) : 0;

	if (err)
		fprintf(stderr, "ubpffs: enforce: %s\n", why ? why : strerror(-err));
	free(why);
	return err;
}

static int enforce_rules(void)
{
	char *why = NULL;
	int err = enforce_ready(&why);

	if (err)
		fprintf(stderr, "ubpffs: enforce: %s\n", why ? why : strerror(-err));
	free(why);
	return err;
}

static int run_server(struct fuse_session *se, const struct options *options,
		      const char *mountpoint)
{
	char *why = NULL;
	int err = tree_open(options->state, &why), ret = 1;

	if (!err)
		err = agent_refuse(tree.dir_fd);
	if (err) {
		fprintf(stderr, "ubpffs: %s\n", why ? why : strerror(-err));
		free(why);
		tree_close();
		return 1;
	}
	limits_size_defaults(tree.dir_fd);
	if (enforce_begin(options)) {
		tree_close();
		return 1;
	}
	err = limit_files_start();
	if (!err)
		err = store_start();
	if (!err)
		err = cgroups_start();
	if (!err)
		err = tree_charge();
	if (!err)
		err = root_start();
	if (err) {
		fprintf(stderr, "ubpffs: %s: the state cannot be read: %s\n", options->state,
			strerror(-err));
	} else if (!enforce_rules()) {
		events_start();
		ret = run_mounted(se, mountpoint);
	}
	events_stop();
	enforce_stop();
	pace_stop();
	cgroups_stop();
	store_stop();
	tree_close();
	return ret;
}

/* mount.fuse.ubpffs: mount(8) passes options of its own that are not libfuse's. */
static void drop_mount_helper_args(int *argc, char **argv)
{
	const char *self = strrchr(argv[0], '/');
	int n = 1;

	self = self ? self + 1 : argv[0];
	if (strncmp(self, "mount.", 6))
		return;
	for (int i = 1; i < *argc; i++) {
		if (!strcmp(argv[i], "-n") || !strcmp(argv[i], "-v") || !strcmp(argv[i], "-s"))
			continue;
		if (!strcmp(argv[i], "-t") || !strcmp(argv[i], "-N")) {
			i++;
			continue;
		}
		argv[n++] = argv[i];
	}
	*argc = n;
}

int main(int argc, char **argv)
{
	struct fuse_cmdline_opts cmdline = {0};
	struct options options = {0};
	struct fuse_args args;
	struct fuse_session *se = NULL;
	char *mountpoint = NULL, *why = NULL;
	int ret = 1;

	drop_mount_helper_args(&argc, argv);
	args = (struct fuse_args)FUSE_ARGS_INIT(argc, argv);
	umask(022);
	if (fuse_opt_parse(&args, &options, option_table, option_proc) < 0)
		goto out;
	if (fuse_parse_cmdline(&args, &cmdline) < 0)
		goto out;
	if (cmdline.show_help || cmdline.show_version) {
		if (cmdline.show_help)
			usage(argv[0]);
		else
			printf("ubpffs %s\n", UBPFFS_VERSION);
		ret = 0;
		goto out;
	}
	if (!options.plain[0]) {
		fprintf(stderr, "ubpffs: where? usage: %s [-f] [-o state=DIR] MOUNTPOINT\n",
			argv[0]);
		goto out;
	}
	mountpoint = mount_absolute_path(options.plain[options.plain[1] ? 1 : 0]);
	if (!mountpoint) {
		fprintf(stderr, "ubpffs: %s: there is no such directory to mount on\n",
			options.plain[options.plain[1] ? 1 : 0]);
		goto out;
	}
	if (!one_mount_point(&options) || !check_options(&options, &args))
		goto out;
	se = fuse_session_new(&args, &ubpffs_fuse_ops, sizeof(ubpffs_fuse_ops), NULL);
	if (!se) /* it has said which option it does not know */
		goto out;
	if (mount_claim(mountpoint, &why)) {
		fprintf(stderr, "ubpffs: %s\n", why ? why : mountpoint);
		goto out;
	}
	if (!choose_state(&options))
		goto out;
	if (!cmdline.foreground && daemon_start() < 0)
		goto out;
	ret = agent_start();
	if (ret) {
		fprintf(stderr, "ubpffs: the process that acts as clients: %s\n", strerror(-ret));
		ret = 1;
		goto out;
	}
	raise_files();
	ret = run_server(se, &options, mountpoint);
	agent_stop();
out:
	mount_claimed();
	if (se)
		fuse_session_destroy(se);
	free(why);
	free(mountpoint);
	free(cmdline.mountpoint);
	free(options.state);
	free(options.enforce_cgroup);
	free(options.plain[0]);
	free(options.plain[1]);
	fuse_opt_free_args(&args);
	return ret;
}
