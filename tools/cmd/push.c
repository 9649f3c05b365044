/*
 * push.c - ubpfctl push, replay: real packets through a program, by test runs on its descriptor
 *
 * A pcap file gives one run a packet; anything else is one raw packet. Programs see Ethernet
 * frames: packets captured without a link header (raw IP, Linux cooked, BSD loopback) get one.
 */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* its struct bpf_insn is the classic one */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <pcap/pcap.h>
#include <pcap/dlt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/object.h"
#include "tools/lib/output.h"
#include "tools/lib/progress.h"
#include "uapi/ubpffs_client.h"

#define MAX_PACKET   (1 << 18)
#define MAX_VERDICTS 32

struct totals {
	unsigned long long packets, bytes, ns, failed;
	struct {
		unsigned int retval;
		unsigned long long packets;
	} verdicts[MAX_VERDICTS];
	int nr_verdicts;
};

static void count_verdict(struct totals *t, unsigned int retval)
{
	int i;

	for (i = 0; i < t->nr_verdicts; i++)
		if (t->verdicts[i].retval == retval)
			break;
	if (i == t->nr_verdicts) {
		if (i == MAX_VERDICTS)
			return;
		t->verdicts[i].retval = retval;
		t->nr_verdicts++;
	}
	t->verdicts[i].packets++;
}

static int run_packet(int prog, const void *data, unsigned int len, int repeat, struct totals *t)
{
	unsigned int retval = 0, duration = 0;

	if (ubpfc_prog_test_run(prog, repeat, data, len, NULL, NULL, &retval, &duration)) {
		if (errno != EINVAL)
			return -1;
		t->failed++; /* shorter than a link header: the kernel refuses it too */
		return 0;
	}
	t->packets++;
	t->bytes += len;
	t->ns += duration;
	count_verdict(t, retval);
	return 0;
}

/* Where the network header starts in a packet of this link type, or -1 for Ethernet itself. */
static int network_offset(int link, const u_char *data, unsigned int len, unsigned int *proto)
{
	unsigned int off;

	switch (link) {
	case DLT_EN10MB:
		return -1;
	case DLT_LINUX_SLL:
		off = 16;
		break;
	case DLT_LINUX_SLL2:
		off = 20;
		break;
	case DLT_NULL:
	case DLT_LOOP:
		off = 4;
		break;
	default:
		off = 0; /* raw IP */
	}
	*proto = off < len && data[off] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
	return off;
}

static int run_pcap(int prog, pcap_t *pcap, int repeat, struct totals *t)
{
	static unsigned char frame[MAX_PACKET + sizeof(struct ether_header)];
	struct ether_header *eth = (void *)frame;
	int link = pcap_datalink(pcap), off, ret;
	struct pcap_pkthdr *hdr;
	unsigned int proto = 0;
	const u_char *data;

	while ((ret = pcap_next_ex(pcap, &hdr, &data)) == 1) {
		progress_at(ftello(pcap_file(pcap)));
		off = network_offset(link, data, hdr->caplen, &proto);
		if (off < 0) {
			ret = run_packet(prog, data, hdr->caplen, repeat, t);
		} else if ((unsigned int)off <= hdr->caplen && hdr->caplen - off <= MAX_PACKET) {
			memset(eth, 0, sizeof(*eth));
			eth->ether_type = htons(proto);
			memcpy(eth + 1, data + off, hdr->caplen - off);
			ret = run_packet(prog, frame, hdr->caplen - off + sizeof(*eth), repeat, t);
		} else {
			t->failed++;
			ret = 0;
		}
		if (ret)
			return -1;
	}
	if (ret == PCAP_ERROR)
		fprintf(stderr, "ubpfctl: %s\n", pcap_geterr(pcap));
	return ret == PCAP_ERROR ? 1 : 0;
}

static int run_raw(int prog, const char *path, int repeat, struct totals *t)
{
	static char packet[MAX_PACKET];
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	size_t len;

	if (!f)
		return -1;
	len = fread(packet, 1, sizeof(packet), f);
	if (f != stdin)
		fclose(f);
	if (run_packet(prog, packet, len, repeat, t))
		return -1;
	if (t->failed) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* Does the file begin as a pcap or pcapng file does? Standard input is a raw packet. */
static int is_pcap(const char *path)
{
	static const unsigned int magics[] = {0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1,
					      0x0a0d0d0a};
	unsigned int magic = 0;
	size_t i, n = 0;
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : NULL;

	if (f) {
		n = fread(&magic, sizeof(magic), 1, f);
		fclose(f);
	}
	for (i = 0; n && i < sizeof(magics) / sizeof(magics[0]); i++)
		if (magic == magics[i])
			return 1;
	return 0;
}

static void out_totals(const struct totals *t)
{
	out_begin(NULL, '{');
	out_u64("packets", t->packets);
	out_u64("bytes", t->bytes);
	out_u64("duration_ns", t->packets ? t->ns / t->packets : 0);
	out_u64("skipped", t->failed);
	out_begin("retvals", '[');
	for (int i = 0; i < t->nr_verdicts; i++) {
		out_begin(NULL, '{');
		out_u64("retval", t->verdicts[i].retval);
		out_u64("packets", t->verdicts[i].packets);
		out_end('}');
	}
	out_end(']');
	out_end('}');
}

static void print_totals(const struct totals *t)
{
	int i;

	if (out_json()) {
		out_totals(t);
		return;
	}
	printf("packets: %llu\nbytes: %llu\n", t->packets, t->bytes);
	if (t->packets)
		printf("duration_ns: %llu\n", t->ns / t->packets);
	for (i = 0; i < t->nr_verdicts; i++)
		printf("retval %u: %llu\n", t->verdicts[i].retval, t->verdicts[i].packets);
	if (t->failed)
		printf("skipped: %llu\n", t->failed);
}

int cmd_push(int argc, char **argv)
{
	char error[PCAP_ERRBUF_SIZE];
	int opt, repeat = 1, quiet = 0, n, ret;
	struct object prog;
	struct totals totals = {0};
	pcap_t *pcap;

	while ((opt = getopt(argc, argv, "+r:q")) != -1) {
		if (opt == 'r' && (repeat = atoi(optarg)) > 0)
			continue;
		if (opt != 'q')
			return 2;
		quiet = 1;
	}
	n = object_open(UBPFFS_PROG, argc - optind, argv + optind, &prog);
	if (n < 0)
		return 1;
	optind += n;
	if (optind + 1 != argc) {
		object_close(&prog);
		return 2;
	}
	if (is_pcap(argv[optind])) {
		pcap = pcap_open_offline(argv[optind], error);
		if (!pcap) {
			fprintf(stderr, "ubpfctl: %s: %s\n", argv[optind], error);
			object_close(&prog);
			return 1;
		}
		progress_begin(argv[optind]);
		ret = run_pcap(prog.fd, pcap, repeat, &totals);
		progress_end();
		pcap_close(pcap);
	} else {
		ret = run_raw(prog.fd, argv[optind], repeat, &totals);
	}
	object_close(&prog);
	if (ret < 0)
		return fail(argv[optind]);
	if (!quiet)
		print_totals(&totals);
	return ret | out_done();
}
