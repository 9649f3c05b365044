/*
 * bench.c - ubpfctl bench: how long a run of a program takes
 *
 * The best and the middle of several loops of test runs on one packet, as the server times them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/object.h"
#include "tools/lib/output.h"
#include "uapi/ubpffs_client.h"

#define LOOPS	   9
#define MAX_PACKET 65536

static int by_number(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return x < y ? -1 : x > y;
}

static int run(const struct object *prog, const void *packet, size_t len, int repeat)
{
	unsigned int ns[LOOPS], retval = 0;

	for (int i = 0; i < LOOPS; i++)
		if (ubpfc_prog_test_run(prog->fd, repeat, packet, len, NULL, NULL, &retval, &ns[i]))
			return -1;
	qsort(ns, LOOPS, sizeof(*ns), by_number);
	if (out_json()) {
		out_begin(NULL, '{');
		out_u64("id", prog->prog.id);
		out_str("name", prog->prog.name);
		out_u64("repeat", repeat);
		out_u64("retval", retval);
		out_u64("best_ns", ns[0]);
		out_u64("median_ns", ns[LOOPS / 2]);
		out_end('}');
	} else {
		printf("%s: %u ns a run (the best of %d loops of %d; the middle one %u), retval "
		       "%u\n",
		       prog->prog.name, ns[0], LOOPS, repeat, ns[LOOPS / 2], retval);
	}
	return 0;
}

int cmd_bench(int argc, char **argv)
{
	static char packet[MAX_PACKET];
	size_t len = 64;
	struct object prog;
	int opt, n, repeat = 100000, ret = 0;
	FILE *f;

	while ((opt = getopt(argc, argv, "+n:")) != -1)
		if (opt != 'n' || (repeat = atoi(optarg)) < 1)
			return 2;
	if (optind == argc)
		return 2;
	n = object_open(UBPFFS_PROG, argc - optind, argv + optind, &prog);
	if (n < 0)
		return 1;
	optind += n;
	if (optind + 1 < argc)
		ret = 2;
	if (!ret && optind < argc) {
		f = fopen(argv[optind], "re");
		len = f ? fread(packet, 1, sizeof(packet), f) : 0;
		if (!f || ferror(f)) {
			fprintf(stderr, "ubpfctl: %s: %s\n", argv[optind], strerror(errno));
			ret = 1;
		}
		if (f)
			fclose(f);
	}
	if (!ret && run(&prog, packet, len, repeat))
		ret = fail(argv[optind - n]);
	object_close(&prog);
	return ret ? ret : out_done();
}
