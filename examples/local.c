/*
 * local.c - a filter of lines, whose rule is a program of a mount and runs in this process
 *
 * Each line of standard input becomes the block of the raw program at PATH: printed when the
 * program returns other than 0. Before each line the path is looked at, and what it names now is
 * taken, so that the rule changes while the filter runs, with what it has counted.
 *
 *	cat build/examples/lines.bpf.o > M/progs/new; ln M/progs/long_lines/prog M/app/rule
 *	journalctl -f | UBPFFS_MOUNT=M build/examples/local app/rule &
 *	cat M/maps/lines/entries/0; ln -f M/progs/short_lines/prog M/app/rule
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/ubpffs_engine.h"
#include "local/ubpffs_local.h"

#define LINE_MAX_BYTES 4096

static int run_line(struct bpf_prog *prog, const char *line)
{
	static char block[LINE_MAX_BYTES] __attribute__((aligned(8)));
	size_t size = ubpffs_prog_block_size(prog), len = strlen(line);
	uint64_t keep;
	int err;

	if (size > sizeof(block))
		return -E2BIG;
	memset(block, 0, size);
	memcpy(block, line, len < size ? len : size);
	err = ubpffs_prog_run(prog, block, size, &keep);
	if (!err && keep) {
		printf("%s\n", line);
		fflush(stdout);
	}
	return err;
}

int main(int argc, char **argv)
{
	static char line[LINE_MAX_BYTES];
	struct ubpffs_local *local = NULL;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: local PATH\n");
		return 2;
	}
	err = ubpffs_local_open(argv[1], NULL, &local);
	while (!err && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		/* A path that is gone for a moment, or names what does not load: go on. */
		if (ubpffs_local_update(local) < 0)
			fprintf(stderr, "local: %s\n", ubpffs_local_error(local));
		err = run_line(ubpffs_local_prog(local), line);
		if (err)
			fprintf(stderr, "local: %s\n", strerror(-err));
	}
	if (err && !ubpffs_local_prog(local))
		fprintf(stderr, "local: %s\n", ubpffs_local_error(local));
	ubpffs_local_close(local);
	return !!err;
}
