/*
 * A consumer of a perf_event_array by libbpf's perf_buffer: perf_client OBJECT. It says what came,
 * in ways that do not depend on which CPU a run had.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

static unsigned int samples, bytes_right;
static unsigned long long lost;

static void on_sample(void *ctx, int cpu, void *data, unsigned int size)
{
	unsigned int len;

	memcpy(&len, data, sizeof(len));
	samples++;
	bytes_right += size == 12 && len == 64 && !memcmp((char *)data + 4, "abcd", 4);
}

static void on_lost(void *ctx, int cpu, unsigned long long n)
{
	lost += n;
}

static int run(int prog, int times)
{
	char packet[64] = "abcd";
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = times);

	return bpf_prog_test_run_opts(prog, &opts) ? -1 : (int)opts.retval;
}

static void drain(struct perf_buffer *pb)
{
	while (perf_buffer__poll(pb, 100) > 0)
		;
}

int main(int argc, char **argv)
{
	struct bpf_object *obj = bpf_object__open(argv[1]);
	struct perf_buffer *pb;
	unsigned long long runs;
	int prog, map, i;

	if (!obj || bpf_object__load(obj))
		return 1;
	prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "perf_output"));
	map = bpf_object__find_map_fd_by_name(obj, "events");
	printf("without events: %d\n", run(prog, 1));
	pb = perf_buffer__new(map, 1, on_sample, on_lost, NULL, NULL);
	if (!pb) {
		perror("perf_buffer__new");
		return 1;
	}
	printf("nothing: %d\n", perf_buffer__poll(pb, 0));
	for (i = 0; i < 3; i++)
		printf("run: %d\n", run(prog, 1));
	drain(pb);
	printf("samples %u, right %u, lost %llu\n", samples, bytes_right, lost);
	run(prog, 3000);
	drain(pb);
	printf("more than fits: %s\n", samples > 100 && samples < 1000 ? "lost some" : "wrong");
	for (runs = 3003, i = 0; i < 200 && samples + lost != runs; i++) {
		runs++;
		run(prog, 1);
		drain(pb);
	}
	printf("told of all: %s, all right: %s\n", samples + lost == runs ? "yes" : "no",
	       samples == bytes_right ? "yes" : "no");
	perf_buffer__free(pb);
	printf("without events: %d\n", run(prog, 1));
	return 0;
}
