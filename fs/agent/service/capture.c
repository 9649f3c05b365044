/*
 * capture.c - libpcap on a client's capture file, in the client's own process (see capture.h)
 */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* its struct bpf_insn is the classic one */
#include <pcap/pcap.h>
#include <stdio.h>
#include "fs/agent/agent.h"
#include "fs/agent/service/file.h"
#include "fs/agent/service/capture.h"
#include "fs/agent/service/packets.h"
#include "fs/agent/format/pcap_filter.h"

#define READ_SIZE 131072

static int capture_file;

/* A read may take as long as it likes: what was found before it goes first. */
static ssize_t read_file(void *cookie, char *buf, size_t size)
{
	ssize_t n;

	packets_flush();
	do
		n = read(capture_file, buf, size);
	while (n < 0 && errno == EINTR);
	return n;
}

static void read_packets(pcap_t *pcap)
{
	struct pcap_pkthdr *hdr;
	const u_char *data;
	int ret;

	packets_say(CAPTURE_LINK, pcap_datalink(pcap), NULL);
	while ((ret = pcap_next_ex(pcap, &hdr, &data)) == 1)
		packets_add((struct capture_packet){(u32)hdr->ts.tv_sec, (u32)hdr->ts.tv_usec,
						    hdr->caplen, hdr->len},
			    data);
	if (ret == PCAP_ERROR_BREAK)
		packets_say(CAPTURE_END, 0, NULL);
	else
		packets_say(CAPTURE_ERROR, 0, pcap_geterr(pcap));
}

void capture_service(int sock, const void *arg, size_t len)
{
	const char *path = arg, *filter = path + strnlen(path, len) + 1;
	static char buf[READ_SIZE]; /* libc chooses the size of one of its own */
	struct error_record why = {0};
	char error[PCAP_ERRBUF_SIZE] = "";
	FILE *f;
	pcap_t *pcap;
	int err;

	if (filter >= path + len) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	if (packets_begin(sock)) {
		agent_report(sock, -ENOMEM, NULL);
		return;
	}
	capture_file = agent_file_open(path, AGENT_FILE_READ, &why);
	if (capture_file < 0) {
		agent_report(sock, capture_file, "%s", error_why(&why, capture_file));
		error_clear(&why);
		return;
	}
	f = fopencookie(NULL, "r", (cookie_io_functions_t){.read = read_file});
	if (!f || setvbuf(f, buf, _IOFBF, sizeof(buf))) {
		agent_report(sock, -ENOMEM, NULL);
		return;
	}
	pcap = pcap_fopen_offline(f, error);
	if (!pcap)
		agent_report(sock, -EINVAL, "%s: %s", path, error);
	else if (*filter && pcap_filter_set(pcap, filter))
		agent_report(sock, -EINVAL, "filter: %s", pcap_geterr(pcap));
	else if ((err = agent_close_files(&(struct filter_list){0})))
		agent_report(sock, err, NULL);
	else {
		agent_report(sock, 0, NULL);
		read_packets(pcap);
	}
}
