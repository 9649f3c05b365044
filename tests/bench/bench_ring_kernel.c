/*
 * bench_ring_kernel.c - bench_ring.c's question, asked of the running kernel's ring buffer and
 * libbpf's consumer
 *
 *	bench_ring_kernel OBJECT RECORDS
 *
 * A program of its own, because libbpf and our client library share names.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile bool stop;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *produce(void *arg)
{
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 200);

	while (!stop)
		if (bpf_prog_test_run_opts(*(int *)arg, &opts))
			die("test run");
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

static int count(void *ctx, void *data, size_t size)
{
	struct tally *t = ctx;
	unsigned long seq;

	memcpy(&seq, data, sizeof(seq));
	if (t->seq && seq != t->seq + 1) {
		fprintf(stderr, "bench_ring_kernel: record %lu follows %lu\n", seq, t->seq);
		exit(1);
	}
	t->seq = seq;
	if (t->left)
		t->left--;
	return t->left ? 0 : -1; /* libbpf takes an error for an end */
}

int main(int argc, char **argv)
{
	unsigned long records = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct tally tally = {0};
	struct bpf_object *obj;
	struct ring_buffer *rb;
	pthread_t producer;
	double start = 0;
	int fd;

	if (!records)
		return 2;
	libbpf_set_print(NULL);
	obj = bpf_object__open_file(argv[1], NULL);
	if (!obj || bpf_object__load(obj))
		die(argv[1]);
	fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "stream_records"));
	rb = ring_buffer__new(bpf_object__find_map_fd_by_name(obj, "stream"), count, &tally, NULL);
	if (!rb)
		die("ring_buffer__new");
	pthread_create(&producer, NULL, produce, &fd);
	for (int measured = 0; measured < 2; measured++) {
		tally = (struct tally){.left = measured ? records : records / 10 + 1};
		start = now();
		while (tally.left)
			if (ring_buffer__poll(rb, 1000) < -1)
				die("poll");
	}
	printf("%.0f\n", (double)records / (now() - start));
	stop = true;
	pthread_join(producer, NULL);
	ring_buffer__free(rb);
	bpf_object__close(obj);
	return 0;
}
