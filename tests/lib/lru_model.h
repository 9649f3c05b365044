/*
 * lru_model.h - what the quality of an LRU map is measured with: Zipf-distributed keys, and a
 * perfect LRU
 */
#ifndef UBPFFS_TESTS_LRU_MODEL_H
#define UBPFFS_TESTS_LRU_MODEL_H

#include "tests/lib/map_model.h"

struct zipf {
	double *cumulative;
	u32 keys;
	struct rnd rnd;
};

/* Key k (1 .. keys) comes in proportion to 1 / k^exponent. */
void zipf_init(struct zipf *z, u32 keys, double exponent, u64 seed);
u32 zipf_next(struct zipf *z);
void zipf_free(struct zipf *z);

/* What was used longest ago goes first, exactly. */
struct perfect_lru {
	u32 *prev, *next; /* by key; 0 is the head */
	bool *in;
	u32 nr, max;
};

void perfect_lru_init(struct perfect_lru *p, u32 keys, u32 max_entries);
/* A lookup, and when it fails an insert. Returns whether it was a hit. */
bool perfect_lru_access(struct perfect_lru *p, u32 key);
void perfect_lru_free(struct perfect_lru *p);

#endif
