/*
 * pcap_filter.h - libpcap's filter language, in its own file: libpcap and Linux both have a struct
 * bpf_insn
 */
#ifndef UBPFFS_FS_AGENT_FORMAT_PCAP_FILTER_H
#define UBPFFS_FS_AGENT_FORMAT_PCAP_FILTER_H

struct pcap;

/* 0, or -1 and pcap_geterr() says why. */
int pcap_filter_set(struct pcap *pcap, const char *text);

#endif
