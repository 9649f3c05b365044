/*
 * local_client.c - a program of a mount in this process, for test_local.py
 *
 *	local_client PATH
 *
 * Lines of standard input: a number runs the raw program with it as the block's first word and
 * prints what it returns; `update` prints what ubpffs_local_update() returns; `loop` runs it with 1
 * for ever from four threads, and prints `looping` first. A failed open prints its errno and the
 * sentence.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/ubpffs_engine.h"
#include "local/ubpffs_local.h"

static void *loop(void *prog)
{
	uint64_t block[8] = {1}, ret;

	ubpffs_slot_keep();
	while (!ubpffs_prog_run(prog, block, sizeof(block), &ret))
		;
	return NULL;
}

int main(int argc, char **argv)
{
	struct ubpffs_local *local;
	pthread_t threads[4];
	char line[64];
	int err = ubpffs_local_open(argc > 1 ? argv[1] : "", NULL, &local);

	if (err) {
		printf("%s\n%s\n", strerrorname_np(-err), ubpffs_local_error(local));
		ubpffs_local_close(local);
		return 1;
	}
	printf("open %u %s\n", ubpffs_local_id(local),
	       ubpffs_prog_jited(ubpffs_local_prog(local)) ? "native" : "interpreted");
	while (fflush(stdout), fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "update\n")) {
			err = ubpffs_local_update(local);
			printf("%d %s\n", err, ubpffs_local_error(local));
		} else if (!strcmp(line, "loop\n")) {
			printf("looping\n");
			fflush(stdout);
			for (int i = 0; i < 4; i++)
				pthread_create(&threads[i], NULL, loop, ubpffs_local_prog(local));
			for (int i = 0; i < 4; i++)
				pthread_join(threads[i], NULL);
		} else {
			uint64_t block[8] = {strtoull(line, NULL, 0)}, ret;

			err = ubpffs_prog_run(ubpffs_local_prog(local), block, sizeof(block), &ret);
			if (err)
				printf("%s\n", strerrorname_np(-err));
			else
				printf("%" PRIu64 "\n", ret);
		}
	}
	ubpffs_local_close(local);
	return 0;
}
