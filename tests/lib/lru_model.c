/*
 * lru_model.c - see lru_model.h
 */
#include <math.h>
#include "tests/lib/lru_model.h"

static void *zeros(size_t nr, size_t size)
{
	void *mem = calloc(nr, size);

	if (!mem)
		abort();
	return mem;
}

void zipf_init(struct zipf *z, u32 keys, double exponent, u64 seed)
{
	double sum = 0;

	*z = (struct zipf){.keys = keys, .rnd = {.state = seed}};
	z->cumulative = zeros(keys + 1, sizeof(double));
	for (u32 k = 1; k <= keys; k++)
		z->cumulative[k] = sum += 1 / pow(k, exponent);
}

u32 zipf_next(struct zipf *z)
{
	double at = (double)(rnd_next(&z->rnd) >> 11) / 9007199254740992.0 * z->cumulative[z->keys];
	u32 low = 1, high = z->keys;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (z->cumulative[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void zipf_free(struct zipf *z)
{
	free(z->cumulative);
}

void perfect_lru_init(struct perfect_lru *p, u32 keys, u32 max_entries)
{
	*p = (struct perfect_lru){.max = max_entries};
	p->prev = zeros(keys + 1, sizeof(u32));
	p->next = zeros(keys + 1, sizeof(u32));
	p->in = zeros(keys + 1, sizeof(bool));
}

bool perfect_lru_access(struct perfect_lru *p, u32 key)
{
	bool hit = p->in[key];

	if (hit) {
		p->next[p->prev[key]] = p->next[key];
		p->prev[p->next[key]] = p->prev[key];
	} else if (p->nr == p->max) {
		u32 oldest = p->prev[0];

		p->next[p->prev[oldest]] = 0;
		p->prev[0] = p->prev[oldest];
		p->in[oldest] = false;
	} else {
		p->nr++;
	}
	p->in[key] = true;
	p->next[key] = p->next[0];
	p->prev[key] = 0;
	p->prev[p->next[0]] = key;
	p->next[0] = key;
	return hit;
}

void perfect_lru_free(struct perfect_lru *p)
{
	free(p->prev);
	free(p->next);
	free(p->in);
}
