/*
 * commands.h - the subcommands of ubpfctl: what each is, and its one function
 *
 * Each subcommand is one file with one function: int cmd_x(int argc, char **argv), argv[0] being
 * its name. It returns the exit status: 0, 1 for a failure that it has explained on stderr, 2 for
 * wrong usage.
 */
#ifndef UBPFFS_TOOLS_LIB_COMMANDS_H
#define UBPFFS_TOOLS_LIB_COMMANDS_H

#include <stdbool.h>

struct command {
	const char *name;
	/* argv[0] is the name. The exit status; 2: wrong usage, which the caller then prints. */
	int (*run)(int argc, char **argv);
	const char *usage, *what;
	const char *words; /* for completion: options, fixed arguments, @progs, @maps */
	const char *example;
	bool json; /* -j and -p, anywhere among its arguments, choose JSON (output.h) */
};

/* Ends with one that has no name. */
extern const struct command commands[];

int cmd_load(int argc, char **argv);
int cmd_push(int argc, char **argv);
int cmd_filter(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_lookup(int argc, char **argv);
int cmd_update(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_apply(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_prog(int argc, char **argv);
int cmd_btf(int argc, char **argv);
int cmd_cgroup(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_flame(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_fsck(int argc, char **argv);

#endif
