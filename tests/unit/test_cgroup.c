/*
 * test_cgroup.c - the hierarchy and its effective sets (cgroup/cgroup.c), case by case, then
 * against a plain model
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "cgroup/cgroup.h"
#include "rcu/rcu.h"
#include "run/run.h"
#include "prog_type/skb/skb.h"
#include "ubpffs_engine.h"
#include "uapi/bpf_insn.h"
#include "tests/lib/cgroup_prog.h"

#define NR_PROGS 6
#define OVERRIDE BPF_F_ALLOW_OVERRIDE
#define MULTI	 BPF_F_ALLOW_MULTI

static struct bpf_prog *progs[NR_PROGS]; /* progs[i] returns 1, but progs[5] returns 0 */

static int setup(void **state)
{
	for (int i = 0; i < NR_PROGS; i++) {
		progs[i] = cgroup_prog_returns(i < 5, BPF_CGROUP_INET_INGRESS);
		if (!progs[i])
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < NR_PROGS; i++)
		ubpffs_prog_put(progs[i]);
	bpf_rcu_barrier(); /* what waits for a grace period at exit looks like a leak */
	return 0;
}

static struct cgroup *child(struct cgroup *parent)
{
	struct cgroup *cgrp;

	assert_int_equal(cgroup_create(parent, 0, &cgrp), 0);
	return cgrp;
}

/* Children before their parents: the tree holds what is not removed. */
static void drop(struct cgroup *cgrp)
{
	cgroup_remove(cgrp);
	cgroup_put(cgrp);
}

/* The effective programs as digits, in order: "03". */
static const char *effective(struct cgroup *cgrp)
{
	static char text[BPF_CGROUP_MAX_PROGS * CGROUP_MAX_DEPTH + 1];
	struct cgroup_bpf_item *items;
	u32 nr, flags;

	assert_int_equal(cgroup_bpf_query(cgrp, CGROUP_INET_INGRESS, true, &items, &nr, &flags), 0);
	for (u32 i = 0; i < nr; i++)
		for (int p = 0; p < NR_PROGS; p++)
			if (items[i].prog == progs[p])
				text[i] = '0' + p;
	text[nr] = 0;
	cgroup_bpf_items_free(items, nr);
	return text;
}

static int attach(struct cgroup *cgrp, int prog, u32 flags)
{
	return cgroup_bpf_attach(cgrp, CGROUP_INET_INGRESS, progs[prog], NULL, flags);
}

static int detach(struct cgroup *cgrp, int prog)
{
	return cgroup_bpf_detach(cgrp, CGROUP_INET_INGRESS, prog < 0 ? NULL : progs[prog]);
}

/* The example of the kernel's patch: A - B - C and D - E below B. */
static void the_example(void **state)
{
	struct cgroup *a = cgroup_root_new(), *b = child(a), *c = child(b), *d = child(b),
		      *e = child(d);

	assert_int_equal(attach(b, 0, OVERRIDE), 0);
	assert_string_equal(effective(a), "");
	assert_string_equal(effective(b), "0");
	assert_string_equal(effective(c), "0");
	assert_string_equal(effective(d), "0");
	assert_string_equal(effective(e), "0");
	assert_int_equal(attach(d, 1, OVERRIDE), 0);
	assert_string_equal(effective(b), "0");
	assert_string_equal(effective(c), "0");
	assert_string_equal(effective(d), "1");
	assert_string_equal(effective(e), "1");
	assert_int_equal(detach(d, -1), 0);
	assert_string_equal(effective(d), "0");
	assert_string_equal(effective(e), "0");
	assert_int_equal(detach(d, -1), -ENOENT);
	/* A new cgroup inherits. */
	struct cgroup *f = child(e);

	assert_string_equal(effective(f), "0");
	assert_int_equal(cgroup_remove(e), -EBUSY);
	assert_int_equal(cgroup_remove(f), 0);
	assert_int_equal(cgroup_remove(f), -ENODEV);
	assert_int_equal(attach(f, 1, OVERRIDE), -ENODEV);
	assert_int_equal(cgroup_remove(a), -EBUSY);
	drop(f);
	drop(e);
	drop(d);
	drop(c);
	drop(b);
	drop(a);
}

static void flags(void **state)
{
	struct cgroup *a = cgroup_root_new(), *b = child(a), *c = child(b);
	struct bpf_prog *egress = cgroup_prog_returns(1, BPF_CGROUP_INET_EGRESS);

	assert_int_equal(attach(a, 0, OVERRIDE | MULTI), -EINVAL);
	assert_int_equal(attach(a, 0, BPF_F_REPLACE), -EINVAL);
	assert_int_equal(attach(a, 0, 1 << 20), -EINVAL);
	assert_int_equal(cgroup_bpf_attach(a, CGROUP_INET_INGRESS, egress, NULL, 0), -EINVAL);
	assert_int_equal(cgroup_bpf_attach(a, CGROUP_INET_EGRESS, egress, NULL, 0), 0);
	assert_int_equal(attach(b, 0, 0), 0); /* exclusive */
	assert_int_equal(attach(c, 1, OVERRIDE), -EPERM);
	assert_int_equal(attach(b, 1, OVERRIDE), -EPERM); /* other flags than what is there */
	assert_int_equal(attach(b, 1, 0), 0); /* replaces */
	assert_string_equal(effective(c), "1");
	assert_int_equal(detach(b, -1), 0);
	assert_int_equal(attach(b, 0, MULTI), 0);
	assert_int_equal(attach(b, 0, MULTI), -EINVAL); /* twice */
	assert_int_equal(attach(b, 1, MULTI), 0);
	assert_int_equal(attach(c, 2, MULTI), 0);
	assert_string_equal(effective(c), "201");
	assert_string_equal(effective(b), "01");
	assert_int_equal(cgroup_bpf_attach(b, CGROUP_INET_INGRESS, progs[3], progs[4],
					   MULTI | BPF_F_REPLACE),
			 -ENOENT);
	assert_int_equal(cgroup_bpf_attach(b, CGROUP_INET_INGRESS, progs[3], progs[0],
					   MULTI | BPF_F_REPLACE),
			 0);
	assert_string_equal(effective(c), "231"); /* in its place */
	assert_int_equal(detach(b, -1), -EINVAL);
	assert_int_equal(detach(b, 0), -ENOENT);
	assert_int_equal(detach(b, 1), 0);
	assert_int_equal(attach(c, 3, OVERRIDE), -EPERM);
	assert_string_equal(effective(c), "23");
	ubpffs_prog_put(egress);
	drop(c);
	drop(b);
	drop(a);
}

static void depth(void **state)
{
	struct cgroup *at[CGROUP_MAX_DEPTH + 1] = {cgroup_root_new()}, *next;

	for (int i = 0; i < CGROUP_MAX_DEPTH; i++)
		at[i + 1] = child(at[i]);
	assert_int_equal(cgroup_create(at[CGROUP_MAX_DEPTH], 0, &next), -EAGAIN);
	for (int i = CGROUP_MAX_DEPTH; i >= 0; i--)
		drop(at[i]);
}

static void run_all(void **state)
{
	struct cgroup *a = cgroup_root_new(), *b = child(a);
	u8 packet[128] = {0};
	struct bpf_skb skb;
	bool cn = true;

	memset(&skb, 0, sizeof(skb));
	(void)packet;
	bpf_run_enter();
	assert_int_equal(cgroup_bpf_run(b, CGROUP_INET_INGRESS, &skb, NULL), 1);
	bpf_run_exit();
	assert_int_equal(attach(a, 0, MULTI), 0);
	assert_int_equal(attach(b, 1, MULTI), 0);
	bpf_run_enter();
	assert_int_equal(cgroup_bpf_run(b, CGROUP_INET_INGRESS, &skb, &cn), 1);
	bpf_run_exit();
	assert_false(cn);
	assert_int_equal(attach(a, 5, MULTI), 0); /* one that drops is enough */
	bpf_run_enter();
	assert_int_equal(cgroup_bpf_run(b, CGROUP_INET_INGRESS, &skb, NULL), 0);
	bpf_run_exit();
	drop(b);
	drop(a);
}

/* ---- against a plain model: for each cgroup its parent, its flags, its list */

#define MAX_CG 40

struct model {
	int parent, nr, flags, list[BPF_CGROUP_MAX_PROGS];
	bool alive;
} model[MAX_CG];

static const char *model_effective(int cg)
{
	static char text[512];
	int n = 0;

	for (int p = cg; p >= 0; p = model[p].parent)
		if (!n || model[p].flags == MULTI)
			for (int i = 0; i < model[p].nr; i++)
				text[n++] = '0' + model[p].list[i];
	text[n] = 0;
	return text;
}

static int model_attach(int cg, int prog, int replace, int flags)
{
	struct model *m = &model[cg];
	int i, at = -1;

	for (int p = m->parent; p >= 0; p = model[p].parent) {
		if (model[p].flags == MULTI)
			break;
		if (model[p].nr) {
			if (model[p].flags != OVERRIDE)
				return -EPERM;
			break;
		}
	}
	if (m->nr && m->flags != flags)
		return -EPERM;
	if (flags == MULTI) {
		for (i = 0; i < m->nr; i++) {
			if (m->list[i] == prog && prog != replace)
				return -EINVAL;
			if (m->list[i] == replace)
				at = i;
		}
		if (replace >= 0 && at < 0)
			return -ENOENT;
	} else {
		at = m->nr ? 0 : -1;
	}
	if (at < 0)
		at = m->nr++;
	m->list[at] = prog;
	m->flags = flags;
	return 0;
}

static int model_detach(int cg, int prog)
{
	struct model *m = &model[cg];
	int i = 0;

	if (m->flags == MULTI) {
		if (prog < 0)
			return -EINVAL;
		while (i < m->nr && m->list[i] != prog)
			i++;
	}
	if (i == m->nr)
		return -ENOENT;
	memmove(&m->list[i], &m->list[i + 1], sizeof(int) * (size_t)(--m->nr - i));
	if (!m->nr)
		m->flags = 0;
	return 0;
}

static void random_trees(void **state)
{
	static const int all_flags[] = {0, OVERRIDE, MULTI};

	for (unsigned int seed = 1; seed <= 60; seed++) {
		struct cgroup *cg[MAX_CG] = {cgroup_root_new()};
		int nr = 1;

		srand(seed);
		memset(model, 0, sizeof(model));
		model[0].parent = -1;
		model[0].alive = true;
		for (int step = 0; step < 300; step++) {
			int i = rand() % nr, what = rand() % 10, prog = rand() % NR_PROGS;

			if (!model[i].alive)
				continue;
			if (what < 2 && nr < MAX_CG) {
				cg[nr] = child(cg[i]);
				model[nr] = (struct model){.parent = i, .alive = true};
				nr++;
			} else if (what == 2 && i) {
				bool busy = false;

				for (int k = 0; k < nr; k++)
					busy |= model[k].alive && model[k].parent == i;
				assert_int_equal(cgroup_remove(cg[i]), busy ? -EBUSY : 0);
				model[i].alive = busy;
			} else if (what < 7) {
				int flags = all_flags[rand() % 3], replace = -1;

				if (flags == MULTI && rand() % 4 == 0)
					replace = rand() % NR_PROGS;
				assert_int_equal(
					cgroup_bpf_attach(
						cg[i], CGROUP_INET_INGRESS, progs[prog],
						replace < 0 ? NULL : progs[replace],
						(u32)flags | (replace < 0 ? 0 : BPF_F_REPLACE)),
					model_attach(i, prog, replace, flags));
			} else {
				if (rand() % 4 == 0)
					prog = -1;
				assert_int_equal(detach(cg[i], prog), model_detach(i, prog));
			}
			for (int k = 0; k < nr; k++)
				if (model[k].alive)
					assert_string_equal(effective(cg[k]), model_effective(k));
		}
		while (nr--)
			drop(cg[nr]);
	}
}

/*
 * B. Whatever allocation fails, an attach that fails has changed nothing, and a detach leaves
 * nothing behind.
 */
static void b_no_memory(void **state)
{
	struct cgroup *a = cgroup_root_new(), *b = child(a), *c = child(b), *d = child(b);
	int err;

	assert_int_equal(attach(b, 0, OVERRIDE), 0);
	for (u32 n = 1;; n++) {
		cgroup_fail_alloc = n;
		err = attach(b, 1, OVERRIDE);
		if (!cgroup_fail_alloc && err) {
			assert_int_equal(err, -ENOMEM);
			assert_string_equal(effective(b), "0");
			assert_string_equal(effective(c), "0");
			assert_string_equal(effective(d), "0");
			continue;
		}
		assert_int_equal(err, 0);
		cgroup_fail_alloc = 0;
		break;
	}
	assert_string_equal(effective(d), "1");
	cgroup_fail_alloc = 2;
	assert_int_equal(detach(b, -1), 0);
	cgroup_fail_alloc = 0;
	assert_string_equal(effective(b), "");
	assert_string_equal(effective(d), "");
	drop(d);
	drop(c);
	drop(b);
	drop(a);
}

/* A. While a program that drops is replaced by another that drops, no packet passes. */
static struct cgroup *target;
static volatile bool stop;

static void *packets(void *arg)
{
	struct bpf_skb skb;
	u64 *passed = arg;

	memset(&skb, 0, sizeof(skb));
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		bpf_run_enter();
		*passed += (u64)cgroup_bpf_run(target, CGROUP_INET_INGRESS, &skb, NULL);
		bpf_run_exit();
	}
	return NULL;
}

static void a_always_dropped(void **state)
{
	struct cgroup *root = cgroup_root_new();
	struct bpf_prog *other = cgroup_prog_returns(0, BPF_CGROUP_INET_INGRESS);
	u64 passed = 0;
	pthread_t thread;

	target = child(root);
	stop = false;
	assert_int_equal(attach(target, 5, OVERRIDE), 0);
	pthread_create(&thread, NULL, packets, &passed);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(cgroup_bpf_attach(target, CGROUP_INET_INGRESS,
						   i % 2 ? progs[5] : other, NULL, OVERRIDE),
				 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(passed, 0);
	ubpffs_prog_put(other);
	drop(target);
	drop(root);
}

/* C. Ten thousand cgroups: a change at a leaf touches the leaf. */
static void c_many(void **state)
{
	static struct cgroup *many[10000];
	struct cgroup *root = cgroup_root_new();

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = child(i < 100 ? root : many[i % 100]);
	assert_int_equal(attach(root, 0, OVERRIDE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		assert_string_equal(effective(many[i]), "0");
	assert_int_equal(attach(many[9999], 1, OVERRIDE), 0);
	assert_string_equal(effective(many[9999]), "1");
	assert_string_equal(effective(many[99]), "0");
	for (size_t i = ARRAY_SIZE(many); i--;) {
		assert_int_equal(cgroup_remove(many[i]), 0);
		cgroup_put(many[i]);
	}
	cgroup_put(root);
}

/* Who still holds the cgroup holds none of its programs; those from above stay effective. */
static void e_attachments_go_with_the_removal(void **state)
{
	struct cgroup *a = cgroup_root_new(), *b = child(a);
	int before;

	bpf_rcu_barrier(); /* what the cases before have dropped is counted until then */
	before = progs[1]->refcnt;
	assert_int_equal(attach(a, 0, MULTI), 0);
	assert_int_equal(attach(b, 1, MULTI), 0);
	assert_int_equal(attach(b, 2, MULTI), 0);
	assert_string_equal(effective(b), "120");
	assert_int_equal(cgroup_remove(a), -EBUSY);
	assert_int_equal(cgroup_remove(b), 0);
	assert_string_equal(effective(b), "0");
	assert_int_equal(detach(b, 1), -ENOENT);
	assert_int_equal(attach(b, 1, MULTI), -ENODEV);
	assert_int_equal(cgroup_remove(b), -ENODEV);
	bpf_rcu_barrier();
	assert_int_equal(progs[1]->refcnt, before);
	cgroup_put(b);
	drop(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example),
		cmocka_unit_test(flags),
		cmocka_unit_test(depth),
		cmocka_unit_test(run_all),
		cmocka_unit_test(random_trees),
		cmocka_unit_test(b_no_memory),
		cmocka_unit_test(a_always_dropped),
		cmocka_unit_test(c_many),
		cmocka_unit_test(e_attachments_go_with_the_removal),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
