/*
 * skeleton_client.c - a program on a libbpf skeleton, as people write them; it knows no ubpffs
 *
 * skeleton_client CGROUP: prints what it sees, the same on the running kernel and under
 * `ubpfctl run`.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "skeleton.skel.h"

struct event {
	unsigned int number, len;
};

static int on_event(void *arg, void *data, size_t size)
{
	const struct event *e = data;

	printf("event %u: %u bytes (%zu)\n", e->number, e->len, size);
	return 0;
}

static void run(struct skeleton *skel, unsigned int len)
{
	char packet[256] = {0x45};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = 14 + len,
		    .repeat = 1);

	packet[12] = 8; /* Ethernet: IPv4 */
	packet[14] = 0x45;
	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.count), &opts))
		printf("run: %s\n", strerror(errno));
	else
		printf("run of %u: %u\n", len, opts.retval);
}

static void attach(struct skeleton *skel, const char *path)
{
	int cgroup = open(path, O_RDONLY);
	unsigned int ids[4], cnt = 4, flags = 0;

	skel->links.count = bpf_program__attach_cgroup(skel->progs.count, cgroup);
	if (!skel->links.count)
		printf("attach: %s\n", strerror(errno));
	if (bpf_prog_query(cgroup, BPF_CGROUP_INET_EGRESS, 0, &flags, ids, &cnt))
		printf("query: %s\n", strerror(errno));
	printf("attached: %u, flags %u\n", cnt, flags);
	bpf_link__destroy(skel->links.count);
	skel->links.count = NULL;
	/* Where descriptors are a filesystem's, it hears of a close a moment after it. */
	for (int i = 0; i < 2000; i++, usleep(10000)) {
		cnt = 4;
		if (!bpf_prog_query(cgroup, BPF_CGROUP_INET_EGRESS, 0, &flags, ids, &cnt) && !cnt)
			break;
	}
	printf("attached: %u\n", cnt);
	close(cgroup);
}

int main(int argc, char **argv)
{
	struct skeleton *skel = skeleton__open();
	unsigned int key = 60;
	unsigned long long value, *mapped;
	struct ring_buffer *ring;

	if (!skel || argc < 2)
		return 2;
	skel->rodata->step = 2;
	if (skeleton__load(skel)) {
		printf("load: %s\n", strerror(errno));
		return 1;
	}
	ring = ring_buffer__new(bpf_map__fd(skel->maps.events), on_event, NULL, NULL);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(skel->maps.mapped), 0);
	if (!ring || mapped == MAP_FAILED) {
		printf("ring %p, mapped %p: %s\n", (void *)ring, (void *)mapped, strerror(errno));
		return 1;
	}
	attach(skel, argv[1]);
	mapped[3] = 7;
	run(skel, 60);
	run(skel, 100);
	run(skel, 60);
	skel->bss->seen = 100;
	run(skel, 80);
	printf("polled: %d\n", ring_buffer__poll(ring, 1000));
	printf("seen %u, total %llu\n", skel->bss->seen, (unsigned long long)skel->data->total);
	printf("mapped %llu %llu %llu %llu\n", mapped[0], mapped[1], mapped[2], mapped[3]);
	if (!bpf_map_lookup_elem(bpf_map__fd(skel->maps.by_len), &key, &value))
		printf("by_len[60] %llu\n", value);
	if (bpf_map_freeze(bpf_map__fd(skel->maps.by_len)))
		printf("freeze: %s\n", strerror(errno));
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.by_len), &key, &value, 0))
		printf("update: %s\n", strerror(errno));
	ring_buffer__free(ring);
	munmap(mapped, 4096);
	skeleton__destroy(skel);
	return 0;
}
