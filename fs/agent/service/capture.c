/*
 * capture.c - libpcap on a client's capture file, in the client's own process (see capture.h)
 */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* its struct bpf_insn is the classic one */
#include <pcap/pcap.h>
#include <stdio.h>
#include "fs/agent/agent.h"
#include "fs/agent/service/file.h"
#include "fs/agent/service/capture.h"
#include "fs/agent/format/pcap_filter.h"

#define READ_SIZE 131072

#define BODY_MAX (AGENT_MSG_MAX - sizeof(struct capture_message))

static struct {
	int sock, file;
	size_t len; /* of the body */
	struct capture_message *head;
} out;

/* Nobody is there to read it any more: then nobody asks for the rest. */
static void put(u32 kind, s32 link)
{
	out.head->kind = kind;
	out.head->link = link;
	if (!agent_put(out.sock, out.head, sizeof(*out.head) + out.len, -1))
		_exit(0);
	out.len = 0;
}

static void flush(void)
{
	if (out.len)
		put(CAPTURE_PACKETS, 0);
}

/* A read may take as long as it likes: what was found before it goes first. */
static ssize_t read_file(void *cookie, char *buf, size_t size)
{
	ssize_t n;

	flush();
	do
		n = read(out.file, buf, size);
	while (n < 0 && errno == EINTR);
	return n;
}

static void add(const struct pcap_pkthdr *hdr, const u_char *data)
{
	struct capture_packet packet = {
		.sec = (u32)hdr->ts.tv_sec,
		.usec = (u32)hdr->ts.tv_usec,
		.caplen = hdr->caplen <= CAPTURE_SNAPLEN ? hdr->caplen : 0,
		.len = hdr->len,
	};

	if (sizeof(packet) + packet.caplen > BODY_MAX - out.len)
		flush();
	memcpy(out.head->body + out.len, &packet, sizeof(packet));
	memcpy(out.head->body + out.len + sizeof(packet), data, packet.caplen);
	out.len += sizeof(packet) + packet.caplen;
}

static void read_packets(pcap_t *pcap)
{
	struct pcap_pkthdr *hdr;
	const u_char *data;
	int ret;

	put(CAPTURE_LINK, pcap_datalink(pcap));
	while ((ret = pcap_next_ex(pcap, &hdr, &data)) == 1)
		add(hdr, data);
	flush();
	if (ret == PCAP_ERROR_BREAK) {
		put(CAPTURE_END, 0);
		return;
	}
	out.len = strlen(pcap_geterr(pcap));
	memcpy(out.head->body, pcap_geterr(pcap), out.len);
	put(CAPTURE_ERROR, 0);
}

void capture_service(int sock, const void *arg, size_t len)
{
	const char *path = arg, *filter = path + strnlen(path, len) + 1;
	static char buf[READ_SIZE]; /* libc chooses the size of one of its own */
	struct error_record why = {0};
	char error[PCAP_ERRBUF_SIZE] = "";
	FILE *f;
	pcap_t *pcap;

	if (filter >= path + len) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	out.sock = sock;
	out.head = malloc(AGENT_MSG_MAX);
	if (!out.head) {
		agent_report(sock, -ENOMEM, NULL);
		return;
	}
	out.file = agent_file_open(path, AGENT_FILE_READ, &why);
	if (out.file < 0) {
		agent_report(sock, out.file, "%s", error_why(&why, out.file));
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
	else {
		agent_report(sock, 0, NULL);
		read_packets(pcap);
	}
}
