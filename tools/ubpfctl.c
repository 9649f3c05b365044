/*
 * ubpfctl.c - the command line client: finds the mount, picks the subcommand
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"

static int usage(FILE *out)
{
	const struct command *c;

	fprintf(out, "usage: ubpfctl [-m MOUNT] [-j|-p] COMMAND ...\n\n");
	for (c = commands; c->name; c++)
		fprintf(out, "  %s %s\n         %s\n", c->name, c->usage, c->what);
	fprintf(out,
		"\nMOUNT defaults to $UBPFFS_MOUNT, then to the one ubpffs whose server runs as "
		"you.\n-j prints JSON, -p indented.\nubpfctl help COMMAND shows an example, "
		"ubpfctl -V the version.\n");
	return out == stdout ? 0 : 2;
}

static int command_usage(const struct command *c, FILE *out)
{
	fprintf(out, "usage: ubpfctl [-m MOUNT] %s%s %s\n", c->json ? "[-j|-p] " : "", c->name,
		c->usage);
	if (out != stdout)
		return 2;
	printf("\n%s\n\nexample:\n    %s\n", c->what, c->example);
	return 0;
}

static const struct command *command_named(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++)
		if (!strcmp(name, c->name))
			return c;
	fprintf(stderr, "ubpfctl: no command '%s'; there are:", name);
	for (c = commands; c->name; c++)
		fprintf(stderr, " %s", c->name);
	fprintf(stderr, " (ubpfctl help COMMAND)\n");
	return NULL;
}

static int help(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2)
		return usage(stdout);
	c = command_named(argv[1]);
	return c ? command_usage(c, stdout) : 2;
}

/* Options of the output may stand anywhere among the arguments of a command that has them. */
static int take_form(int argc, char **argv)
{
	int n = 1;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))
			out_form(OUTPUT_JSON);
		else if (!strcmp(argv[i], "-p") || !strcmp(argv[i], "--pretty"))
			out_form(OUTPUT_PRETTY);
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {{"help", no_argument, NULL, 'h'},
						     {"version", no_argument, NULL, 'V'},
						     {"json", no_argument, NULL, 'j'},
						     {"pretty", no_argument, NULL, 'p'},
						     {0}};
	const struct command *c;
	int opt, ret;

	while ((opt = getopt_long(argc, argv, "+m:jphV", long_options, NULL)) != -1) {
		if (opt == 'V')
			return printf("ubpfctl %s\n", UBPFFS_VERSION) < 0;
		if (opt == 'm')
			name_mount(optarg);
		else if (opt == 'j' || opt == 'p')
			out_form(opt == 'j' ? OUTPUT_JSON : OUTPUT_PRETTY);
		else
			return usage(opt == 'h' ? stdout : stderr);
	}
	argc -= optind;
	argv += optind;
	optind = 0;
	if (!argc)
		return usage(stderr);
	if (!strcmp(argv[0], "help"))
		return help(argc, argv);
	c = command_named(argv[0]);
	if (!c)
		return 2;
	if (argc == 2 && !strcmp(argv[1], "--help"))
		return command_usage(c, stdout);
	if (c->json)
		argc = take_form(argc, argv);
	else if (out_json()) {
		fprintf(stderr, "ubpfctl: %s prints no JSON (leave -j and -p away)\n", c->name);
		return 2;
	}
	ret = c->run(argc, argv);
	return ret == 2 ? command_usage(c, stderr) : ret;
}
