/*
 * pcap_filter.h - libpcap beside <linux/bpf.h>, which has another struct bpf_insn than <pcap/bpf.h>
 *
 * libpcap's instructions have the layout of struct sock_filter, and are called that here.
 */
#ifndef UBPFFS_TESTS_PCAP_FILTER_H
#define UBPFFS_TESTS_PCAP_FILTER_H

#include <linux/filter.h>

struct bpf_program {
	unsigned int bf_len;
	struct sock_filter *bf_insns;
};

#define PCAP_DONT_INCLUDE_PCAP_BPF_H
#include <pcap/dlt.h>
#include <pcap/pcap.h>

/* libpcap's interpreter. */
unsigned int bpf_filter(const struct sock_filter *insns, const unsigned char *data,
			unsigned int wirelen, unsigned int buflen);

#endif
