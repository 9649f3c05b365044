/*
 * pcap_filter.c - see pcap_filter.h
 */
#include <pcap/pcap.h>
#include "fs/agent/format/pcap_filter.h"

int pcap_filter_set(struct pcap *pcap, const char *text)
{
	struct bpf_program program;
	int err;

	if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN))
		return -1;
	err = pcap_setfilter(pcap, &program);
	pcap_freecode(&program);
	return err ? -1 : 0;
}
