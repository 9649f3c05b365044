/*
 * verdict.c - see verdict.h
 */
#include "core/verdict.h"

void bpf_verdict_free(struct bpf_verdict *verdict)
{
	free(verdict->aux);
	free(verdict->subprogs);
	memset(verdict, 0, sizeof(*verdict));
}
