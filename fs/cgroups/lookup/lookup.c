/*
 * lookup.c - directories to cgroups, and back to paths (see cgroups/lookup/lookup.h)
 */
#include <pthread.h>
#include <stdio.h>
#include "fs/cgroups/lookup/lookup.h"

struct entry {
	u64 ino;
	struct cgroup *cgrp; /* referenced */
	char *path; /* from M/cgroup: "A/B", the root "." */
	struct entry *next;
};

#define ENTRY_BUCKETS 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries[ENTRY_BUCKETS];

int cgroup_lookup_add(u64 ino, struct cgroup *cgrp, const char *path)
{
	struct entry *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->path = strdup(path);
	if (!p->path) {
		free(p);
		return -ENOMEM;
	}
	p->ino = ino;
	p->cgrp = cgrp;
	pthread_mutex_lock(&lock);
	p->next = entries[ino % ENTRY_BUCKETS];
	entries[ino % ENTRY_BUCKETS] = p;
	pthread_mutex_unlock(&lock);
	return 0;
}

static void entry_free(struct entry *p)
{
	cgroup_put(p->cgrp);
	free(p->path);
	free(p);
}

void cgroup_lookup_remove(u64 ino)
{
	struct entry **at, *p;

	pthread_mutex_lock(&lock);
	for (at = &entries[ino % ENTRY_BUCKETS]; *at && (*at)->ino != ino; at = &(*at)->next)
		;
	p = *at;
	if (p)
		*at = p->next;
	pthread_mutex_unlock(&lock);
	if (p)
		entry_free(p);
}

struct cgroup *cgroup_lookup_get(u64 ino, char *path, size_t len)
{
	struct cgroup *cgrp = NULL;
	struct entry *p;

	pthread_mutex_lock(&lock);
	for (p = entries[ino % ENTRY_BUCKETS]; p && p->ino != ino; p = p->next)
		;
	if (p) {
		cgrp = p->cgrp;
		cgroup_get(cgrp);
		if (path)
			snprintf(path, len, "%s", p->path);
	}
	pthread_mutex_unlock(&lock);
	return cgrp;
}

void cgroup_lookup_path(u64 id, char *path, size_t len)
{
	struct entry *p;

	snprintf(path, len, "?");
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < ENTRY_BUCKETS; i++)
		for (p = entries[i]; p; p = p->next)
			if (cgroup_id(p->cgrp) == id)
				snprintf(path, len, "%s", p->path);
	pthread_mutex_unlock(&lock);
}

struct cgroup *cgroup_lookup_by_id(u64 id)
{
	struct cgroup *cgrp = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < ENTRY_BUCKETS; i++)
		for (struct entry *p = entries[i]; p; p = p->next)
			if (cgroup_id(p->cgrp) == id)
				cgrp = p->cgrp;
	if (cgrp)
		cgroup_get(cgrp);
	pthread_mutex_unlock(&lock);
	return cgrp;
}

int cgroup_of_node(struct fs_node *node, struct cgroup **out)
{
	*out = cgroup_lookup_get(fs_node_base(node)->ino, NULL, 0);
	return *out ? 0 : -ENOENT;
}

u64 *cgroup_lookup_ids(size_t *nr)
{
	size_t n = 0, i;
	struct entry *p;
	u64 *ids;

	pthread_mutex_lock(&lock);
	for (i = 0; i < ENTRY_BUCKETS; i++)
		for (p = entries[i]; p; p = p->next)
			n++;
	ids = calloc(n + 1, sizeof(*ids));
	for (i = *nr = 0; ids && i < ENTRY_BUCKETS; i++)
		for (p = entries[i]; p; p = p->next)
			ids[(*nr)++] = cgroup_id(p->cgrp);
	pthread_mutex_unlock(&lock);
	return ids;
}

void cgroup_lookup_drop_all(void)
{
	/* A cgroup in the tree is held by its parent's list: take all out, children first. */
	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; i < ENTRY_BUCKETS; i++)
			for (struct entry *p = entries[i]; p; p = p->next)
				again |= cgroup_remove(p->cgrp) == 0;
	}
	for (size_t i = 0; i < ENTRY_BUCKETS; i++)
		while (entries[i]) {
			struct entry *next = entries[i]->next;

			entry_free(entries[i]);
			entries[i] = next;
		}
}
