/*
 * cpu_list.c - see cpu_list.h
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "util/cpu_list.h"

#define MOST_CPUS (1 << 20)

/* A decimal number below MOST_CPUS at *p, which moves behind it; or -1. */
static int number(const char **p)
{
	char *end;
	long n;

	if (!isdigit((unsigned char)**p))
		return -1;
	n = strtol(*p, &end, 10);
	*p = end;
	return n < MOST_CPUS ? (int)n : -1;
}

int cpu_list_count(const char *list)
{
	int first, last, count = 0;

	for (;; list++) {
		first = last = number(&list);
		if (first >= 0 && *list == '-') {
			list++;
			last = number(&list);
		}
		if (first < 0 || last < first)
			return -EINVAL;
		if (count <= last)
			count = last + 1;
		if (*list != ',')
			break;
	}
	if (*list == '\n')
		list++;
	return *list ? -EINVAL : count;
}

int cpu_possible_count(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	char list[4096];
	int count = -ENOENT;
	long conf;

	if (f) {
		if (fgets(list, sizeof(list), f))
			count = cpu_list_count(list);
		fclose(f);
	}
	if (count > 0)
		return count;
	conf = sysconf(_SC_NPROCESSORS_CONF);
	return conf > 0 && conf < MOST_CPUS ? (int)conf : 1;
}
