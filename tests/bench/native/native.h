/*
 * native.h - between bench_exec.c and native.c
 */
#ifndef UBPFFS_BENCH_NATIVE_H
#define UBPFFS_BENCH_NATIVE_H

struct __sk_buff;

struct bench_native { /* the last one has no name */
	const char *name;
	int (*func)(struct __sk_buff *skb);
};

/* skb->data and data_end are 32 bits: the packet lies below 4 GiB. */
extern const struct bench_native bench_native[];

#endif
