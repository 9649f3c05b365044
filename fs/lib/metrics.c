/*
 * metrics.c - see metrics.h
 */
#include "fs/lib/metrics.h"

struct fs_metrics fs_metrics;
