/*
 * order.h - what examples/helper.c and its rules, examples/score.bpf.c, both know
 */
#ifndef EXAMPLES_ORDER_H
#define EXAMPLES_ORDER_H

#define HELPER_SPENT_BY 0x20000 /* UBPFFS_HELPER_FIRST */

struct order {
	char customer[16];
	unsigned int amount;
	unsigned int discount; /* percent: the rules say how much */
};

#endif
