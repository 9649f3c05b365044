/*
 * bench_ring.c - records a second from a program through a ring buffer of ours to a client
 *
 *	bench_ring MOUNT mmap|read RECORDS
 *
 * tests/progs/ring_stream.bpf.o is loaded there. One thread lets the program write without pause
 * (test runs), the other consumes: through the ring's memory, or from the map's `records` file,
 * whose lines it counts. Prints the rate.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "uapi/ubpffs_client.h"

static volatile bool stop;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_map_or_prog(const char *path)
{
	int fd = ubpfc_open(path, O_RDWR);

	if (fd < 0)
		die(path);
	return fd;
}

static void *produce(void *unused)
{
	int fd = open_map_or_prog("progs/stream_records/prog");
	char packet[64] = {0};

	while (!stop)
		if (ubpfc_prog_test_run(fd, 200, packet, sizeof(packet), NULL, NULL, NULL, NULL))
			die("test run");
	close(fd);
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

struct tally {
	unsigned long seq, left;
};

static int count(void *ctx, const void *data, size_t size)
{
	struct tally *t = ctx;
	unsigned long seq;

	memcpy(&seq, data, sizeof(seq));
	if (t->seq && seq != t->seq + 1) {
		fprintf(stderr, "bench_ring: record %lu follows %lu\n", seq, t->seq);
		exit(1);
	}
	t->seq = seq;
	return !--t->left;
}

static void consume_mapped(struct ubpfc_ring *ring, unsigned long records)
{
	struct tally t = {.left = records};

	while (t.left) {
		if (ubpfc_ring_wait(ring, 1000) < 0)
			die("wait");
		if (ubpfc_ring_consume(ring, count, &t) < 0)
			die("consume");
	}
}

static void consume_file(int fd, unsigned long records)
{
	static char buf[1 << 20];

	while (records) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n <= 0)
			die("records");
		for (char *p = buf; records && (p = memchr(p, '\n', buf + n - p)); p++)
			records--;
	}
}

int main(int argc, char **argv)
{
	unsigned long records = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	bool mapped = argc == 4 && !strcmp(argv[2], "mmap");
	struct ubpfc_ring *ring = NULL;
	pthread_t producer;
	double start;
	int fd;

	if (!records)
		return 2;
	if (ubpfc_mount(argv[1]))
		die(argv[1]);
	fd = mapped ? open_map_or_prog("maps/stream/map")
		    : ubpfc_open("maps/stream/records", O_RDONLY);
	if (fd < 0)
		die("maps/stream/records");
	if (mapped && !(ring = ubpfc_ring_open(fd)))
		die("ubpfc_ring_open");
	pthread_create(&producer, NULL, produce, NULL);
	for (int measured = 0; measured < 2; measured++) { /* the first tenth warms up */
		unsigned long n = measured ? records : records / 10 + 1;

		start = now();
		if (mapped)
			consume_mapped(ring, n);
		else
			consume_file(fd, n);
	}
	printf("%.0f\n", (double)records / (now() - start));
	stop = true;
	pthread_join(producer, NULL);
	ubpfc_ring_close(ring);
	close(fd);
	return 0;
}
