/*
 * options.c - see options.h
 *
 * As root the mount is for everybody (allow_other; the permission bits decide), as any other user
 * for its owner only: allow_other then needs trust_others as well, for the server acts with its
 * owner's rights on behalf of all.
 */
#include "fs/options.h"
#include "object/machine.h"
#include "object/object.h"
#include "fs/fuse/session/session.h"
#include "fs/fsck.h"
#include "fs/mount.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_place.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
	OPTION("btf=%s", btf),
	{"keeper=on", offsetof(struct options, keeper), KEEPER_ON},
	{"keeper=off", offsetof(struct options, keeper), KEEPER_OFF},
	{"durable=none", offsetof(struct options, durable), DURABLE_NONE},
	{"durable=close", offsetof(struct options, durable), DURABLE_CLOSE},
	{"durable=each", offsetof(struct options, durable), DURABLE_EACH},
	{"fsck=repair", offsetof(struct options, fsck), FSCK_REPAIR},
	{"fsck=look", offsetof(struct options, fsck), FSCK_LOOK},
	OPTION("fsck_json", fsck_json),
	{"sandbox=on", offsetof(struct options, sandbox_off), 0},
	{"sandbox=off", offsetof(struct options, sandbox_off), 1},
	OPTION("perf_map", perf_map),
	{"strict", offsetof(struct options, strict), STRICT_USERS},
	{"strict=off", offsetof(struct options, strict), STRICT_OFF},
	{"strict=users", offsetof(struct options, strict), STRICT_USERS},
	{"strict=all", offsetof(struct options, strict), STRICT_ALL},
	{"keeper=server", offsetof(struct options, keeper), KEEPER_SERVER},
	{"keeper=check", offsetof(struct options, keeper), KEEPER_PROBE},
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
	       "    -o state=DIR       where objects live (default: ~/.local/state/ubpffs, or in\n"
	       "                       $XDG_STATE_HOME; root: /var/lib/ubpffs); made if it is "
	       "missing,\n"
	       "                       must be yours alone\n"
	       "    -o allow_other     other users may use the mount (root: this is the default)\n"
	       "    -o trust_others    needed beside allow_other when the server is not root\n"
	       "    -o owner_only      root: no allow_other\n"
	       "    -o enforce[=fail-open|fail-closed]\n"
	       "                       the programs of M/cgroup decide over real packets; when "
	       "the\n"
	       "                       server is killed, packets flow (the default) or stop\n"
	       "    -o enforce_cgroup=PATH\n"
	       "                       a delegated directory of cgroup v2 to work in\n"
	       "    -o btf=FILE        the kernel's types that CO-RE programs are relocated to\n"
	       "                       (default: /sys/kernel/btf/vmlinux)\n"
	       "    -o keeper=off      a server that dies leaves a dead mount; else another one\n"
	       "                       goes on with it, and clients wait\n"
	       "    -o durable=none|close|each\n"
	       "                       what is on the disk when a call returns: nothing yet, "
	       "names\n"
	       "                       and programs, or each change of a map too (default: none)\n"
	       "    -o sandbox=off     keep all rights (for debugging)\n"
	       "    -o perf_map        tell profilers where programs lie: /tmp/perf-PID.map\n"
	       "    -o strict[=off|users|all]\n"
	       "                       whose programs may not learn addresses and run ahead of\n"
	       "                       their checks: of all but root and who runs the server\n"
	       "                       (users, the default), everybody's, or nobody's\n"
	       "    -f                 stay in the foreground\n"
	       "    -d                 print every request (implies -f)\n"
	       "    -h, -V             this text; the version\n",
	       self);
	session_help();
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
		if (!options->plain[i])
			fprintf(stderr, "ubpffs: %s: %s\n", arg, strerror(ENOMEM));
		return options->plain[i] ? 0 : -1;
	}
	fprintf(stderr, "ubpffs: %s: too many arguments\n", arg);
	return -1;
}

static bool check_options(struct options *options)
{
	bool root = !geteuid();

	if (options->allow_other && !root && !options->trust_others) {
		fprintf(stderr,
			"ubpffs: this server is not root: with allow_other every other user acts "
			"through "
			"your account.\nubpffs: if you mean it, say -o allow_other,trust_others\n");
		return false;
	}
	if (options->state && !*options->state) {
		fprintf(stderr, "ubpffs: state= names no directory\n");
		return false;
	}
	if (options->allow_other && options->owner_only) {
		fprintf(stderr, "ubpffs: allow_other and owner_only exclude each other\n");
		return false;
	}
	if (root && !options->owner_only)
		options->allow_other = 1;
	return !fuse_opt_add_arg(&options->args,
				 "-odefault_permissions,fsname=ubpffs,subtype=ubpffs") &&
	       (!options->allow_other || !fuse_opt_add_arg(&options->args, "-oallow_other"));
}

bool options_choose_state(struct options *options)
{
	struct error_record why = {0};
	int err = 0;

	if (options->state)
		return true;
	if (!options->plain[1] || options->plain[0][0] != '/')
		err = state_place(&options->state, &why);
	else if (!(options->state = strdup(options->plain[0]))) /* mount DIR M -t fuse.ubpffs */
		err = -ENOMEM;
	if (err)
		fprintf(stderr, "ubpffs: %s\n", error_why(&why, err));
	error_clear(&why);
	return !err;
}

/* mount(8) gives a source first: the state's directory, or a word that is the name of nothing. */
static bool one_mount_point(const struct options *options)
{
	const char *source = options->plain[0];
	struct stat st;

	if (!options->plain[1])
		return true;
	if (source[0] != '/' && (!strcmp(source, "none") || lstat(source, &st) < 0))
		return true;
	if (source[0] == '/' && !options->state &&
	    (stat(source, &st) < 0 ||
	     (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077))))
		return true;
	fprintf(stderr,
		"ubpffs: one server has one mount point, and %s %s: say -o state=DIR for where "
		"objects live\n",
		source,
		options->state || source[0] != '/' ? "is a second one"
						   : "is no state directory of yours");
	return false;
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

/* A daemon leaves its directory, and its state stays. */
static bool make_absolute(char **path)
{
	__do_free char *cwd = NULL;
	char *full;

	if (!*path || (*path)[0] == '/' || !(*path)[0])
		return true;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&full, "%s/%s", cwd, *path) < 0) {
		fprintf(stderr, "ubpffs: %s: %s\n", *path, strerror(errno));
		return false;
	}
	free(*path);
	*path = full;
	return true;
}

/* A wrong file is said now, and not to whoever loads the first program. */
static bool choose_btf(struct options *options)
{
	char *path;
	int err;

	if (!options->btf)
		return true;
	path = realpath(options->btf, NULL);
	if (!path) {
		fprintf(stderr, "ubpffs: btf=%s: %s\n", options->btf, strerror(errno));
		return false;
	}
	free(options->btf);
	options->btf = path;
	bpf_core_set_kernel_btf(path);
	err = bpf_core_try_kernel_btf();
	if (err)
		fprintf(stderr, "ubpffs: btf=%s: %s\n", path,
			err == -EINVAL || err == -ENODATA || err == -EPROTO
				? "this is neither BTF nor an ELF file that holds some"
				: strerror(-err));
	return !err;
}

/* Its exit status is that of fsck(8). */
static int parse_fsck(struct options *options, int *status)
{
	*status = FSCK_ERROR;
	if (!options->state) {
		fprintf(stderr, "ubpffs: which directory is to be checked? say -o state=DIR\n");
		return -1;
	}
	return make_absolute(&options->state) && choose_btf(options) ? 0 : -1;
}

int options_parse(struct options *options, int argc, char **argv, int *status)
{
	struct session_options session = {0};
	const char *where;

	*status = 1;
	options->strict = STRICT_USERS;
	drop_mount_helper_args(&argc, argv);
	options->args = (struct fuse_args)FUSE_ARGS_INIT(argc, argv);
	if (fuse_opt_parse(&options->args, options, option_table, option_proc) < 0 ||
	    session_options(&options->args, &session) < 0)
		return -1;
	options->foreground = session.foreground;
	if (session.help || session.version) {
		if (session.help)
			usage(argv[0]);
		else
			printf("ubpffs %s\n", UBPFFS_VERSION);
		*status = 0;
		return -1;
	}
	if (options->fsck)
		return parse_fsck(options, status);
	if (!options->plain[0]) {
		fprintf(stderr, "ubpffs: where? usage: %s [-f] [-o state=DIR] MOUNTPOINT\n",
			argv[0]);
		return -1;
	}
	where = options->plain[options->plain[1] ? 1 : 0];
	/* A keeper names it as it is, and nobody serves it now. */
	options->mountpoint = options->keeper >= KEEPER_SERVER ? strdup(where)
							       : mount_absolute_path(where);
	if (!options->mountpoint) {
		fprintf(stderr, "ubpffs: %s: %s\n", where,
			errno == ENOENT || errno == ENOTDIR
				? "there is no such directory to mount on"
				: strerror(errno));
		return -1;
	}
	for (int i = 0; i < options->args.argc; i++)
		if (fuse_opt_add_arg(&options->given, options->args.argv[i]))
			return -1;
	return one_mount_point(options) && make_absolute(&options->state) &&
			       make_absolute(&options->enforce_cgroup) && choose_btf(options) &&
			       check_options(options)
		       ? 0
		       : -1;
}

static int add_option(char **list, const char *name, const char *value)
{
	__do_free char *option = NULL;

	if (!value)
		return 0;
	if (asprintf(&option, "%s%s%s", name, *value ? "=" : "", value) < 0)
		return -ENOMEM;
	return fuse_opt_add_opt_escaped(list, option) ? -ENOMEM : 0;
}

static int options_list(const struct options *options, char **list)
{
	static const char *const enforce[] = {
		[ENFORCE_NOT] = NULL,
		[ENFORCE_FAIL_OPEN] = "fail-open",
		[ENFORCE_FAIL_CLOSED] = "fail-closed",
	};
	static const char *const durable[] = {
		[DURABLE_NONE] = NULL,
		[DURABLE_CLOSE] = "close",
		[DURABLE_EACH] = "each",
	};
	static const char *const strict[] = {
		[STRICT_OFF] = "off",
		[STRICT_USERS] = NULL, /* as without the option, which older ones do not know */
		[STRICT_ALL] = "all",
	};
	const struct {
		const char *name, *value;
	} all[] = {
		{"state", options->state},
		{"allow_other", options->allow_other ? "" : NULL},
		{"trust_others", options->trust_others ? "" : NULL},
		{"owner_only", options->owner_only ? "" : NULL},
		{"enforce", enforce[options->enforce]},
		{"enforce_cgroup", options->enforce_cgroup},
		{"btf", options->btf},
		{"durable", durable[options->durable]},
		{"sandbox", options->sandbox_off ? "off" : NULL},
		{"perf_map", options->perf_map ? "" : NULL},
		{"strict", strict[options->strict]},
	};
	int err = 0;

	for (u32 i = 0; !err && i < ARRAY_SIZE(all); i++)
		err = add_option(list, all[i].name, all[i].value);
	return err;
}

int options_again(const struct options *options, struct fuse_args *out)
{
	__do_free char *list = NULL;
	int err = options_list(options, &list);

	for (int i = 0; !err && i < options->given.argc; i++)
		err = fuse_opt_add_arg(out, options->given.argv[i]);
	if (!err && options->foreground)
		err = fuse_opt_add_arg(out, "-f");
	if (!err)
		err = fuse_opt_add_arg(out, "-o");
	if (!err)
		err = fuse_opt_add_arg(out, list);
	if (!err)
		err = fuse_opt_add_arg(out, options->mountpoint);
	return err ? -ENOMEM : 0;
}

void options_free(struct options *options)
{
	free(options->mountpoint);
	free(options->state);
	free(options->enforce_cgroup);
	free(options->btf);
	free(options->plain[0]);
	free(options->plain[1]);
	fuse_opt_free_args(&options->args);
	fuse_opt_free_args(&options->given);
}
