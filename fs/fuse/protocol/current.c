/*
 * current.c - see fuse/protocol/current.h
 */
#include "fs/fuse/protocol/current.h"

static __thread u64 current;

u64 current_request(void)
{
	return current;
}

void current_set_request(u64 unique)
{
	current = unique;
}
