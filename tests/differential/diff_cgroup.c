/*
 * diff_cgroup.c - random mkdir, rmdir, attach and detach: engine/cgroup against the running
 * kernel's cgroup v2
 *
 * The same sequence goes to a tree of real cgroups with bpf(2) and to ours. After every step the
 * errno, and in every cgroup what is attached (with its flags) and what is effective, in order,
 * must be equal.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "cgroup/cgroup.h"
#include "tests/lib/domain.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"
#include "ubpffs_engine.h"

#define NR_PROGS 6
#define NR_NODES 24

struct side_prog {
	struct bpf_prog *ours;
	int fd;
	u32 id; /* the kernel's */
};

struct tree_node {
	struct cgroup *ours; /* NULL: not there */
	int fd, parent;
	char path[512];
};

static struct side_prog progs[NR_PROGS];
static struct tree_node nodes[NR_NODES];
static char base[300]; /* a cgroup of the host for this test alone */

/* ---- the kernel's side */

static int k_attach(const struct tree_node *node, u32 type, int prog, int replace, u32 flags)
{
	union bpf_attr attr = {.target_fd = node->fd,
			       .attach_bpf_fd = progs[prog].fd,
			       .attach_type = type,
			       .attach_flags = flags,
			       .replace_bpf_fd = replace < 0 ? 0 : progs[replace].fd};

	return kernel_bpf(BPF_PROG_ATTACH, &attr);
}

static int k_detach(const struct tree_node *node, u32 type, int prog)
{
	union bpf_attr attr = {.target_fd = node->fd,
			       .attach_bpf_fd = prog < 0 ? -1 : progs[prog].fd,
			       .attach_type = type};

	return kernel_bpf(BPF_PROG_DETACH, &attr);
}

/* The programs as digits; a program that is not ours as '?'. */
static int k_query(int fd, u32 type, bool effective, char *text, u32 *flags)
{
	u32 ids[NR_PROGS * NR_NODES];
	union bpf_attr attr = {.query = {.target_fd = fd,
					 .attach_type = type,
					 .query_flags = effective ? BPF_F_QUERY_EFFECTIVE : 0,
					 .prog_ids = (u64)(unsigned long)ids,
					 .prog_cnt = ARRAY_SIZE(ids)}};
	int err = kernel_bpf(BPF_PROG_QUERY, &attr);
	u32 i;

	for (i = 0; !err && i < attr.query.prog_cnt; i++) {
		text[i] = '?';
		for (int p = 0; p < NR_PROGS; p++)
			if (progs[p].id == ids[i])
				text[i] = '0' + p;
	}
	text[err ? 0 : i] = 0;
	*flags = attr.query.attach_flags;
	return err;
}

/* ---- ours */

static void o_query(struct cgroup *cgrp, u32 type, bool effective, char *text, u32 *flags)
{
	struct cgroup_bpf_item *items;
	u32 nr;

	assert_int_equal(cgroup_bpf_query(cgrp, type, effective, &items, &nr, flags), 0);
	for (u32 i = 0; i < nr; i++) {
		text[i] = '?';
		for (int p = 0; p < NR_PROGS; p++)
			if (items[i].prog == progs[p].ours)
				text[i] = '0' + p;
	}
	text[nr] = 0;
	cgroup_bpf_items_free(items, nr);
}

/* ---- set up */

static int load(int i)
{
	struct bpf_insn insns[] = {BPF_MOV64_IMM(BPF_REG_0, 1), BPF_EXIT_INSN()};
	struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_CGROUP_SKB, .license = "GPL", .insns = insns, .insn_cnt = 2};
	struct bpf_prog_load_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_SKB,
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = 2};
	struct bpf_prog_info info = {};
	union bpf_attr attr = {
		.info = {.info_len = sizeof(info), .info = (u64)(unsigned long)&info}};

	if (ubpffs_prog_load(&spec, NULL, NULL, &progs[i].ours))
		return -1;
	progs[i].fd = kernel_prog_load(&load, NULL, 0, NULL, 0);
	attr.info.bpf_fd = progs[i].fd;
	if (progs[i].fd < 0 || kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		return -1;
	progs[i].id = info.id;
	return 0;
}

static int setup(void **state)
{
	const char *why = kernel_unavailable();
	char mount[256];

	if (!why && kernel_find_cgroup2(mount, sizeof(mount)))
		why = "no cgroup v2 is mounted";
	if (!why) {
		snprintf(base, sizeof(base), "%s/ubpffs-diff-%d", mount, getpid());
		if (mkdir(base, 0755)) {
			why = "no cgroup can be made";
			base[0] = 0;
		}
	}
	if (why) {
		*state = (void *)why;
		return 0;
	}
	for (int i = 0; i < NR_PROGS; i++)
		if (load(i))
			return -1;
	return 0;
}

static int teardown(void **state)
{
	if (base[0])
		rmdir(base);
	for (int i = 0; i < NR_PROGS; i++) {
		if (progs[i].ours)
			ubpffs_prog_put(progs[i].ours);
		if (progs[i].fd > 0)
			close(progs[i].fd);
	}
	return 0;
}

/* ---- the walk */

static void node_new(int i, int parent)
{
	struct tree_node *node = &nodes[i];
	char above[512];

	snprintf(above, sizeof(above), "%s", parent < 0 ? base : nodes[parent].path);
	node->parent = parent;
	snprintf(node->path, sizeof(node->path), parent < 0 ? "%.480s" : "%.480s/%d", above, i);
	if (parent < 0)
		node->ours = cgroup_root_new();
	else
		assert_int_equal(cgroup_create(nodes[parent].ours, 0, &node->ours), 0);
	assert_non_null(node->ours);
	if (parent >= 0)
		assert_int_equal(mkdir(node->path, 0755), 0);
	node->fd = open(node->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(node->fd >= 0);
}

static void node_forget(struct tree_node *node)
{
	cgroup_put(node->ours);
	close(node->fd);
	node->ours = NULL;
}

static int depth_of(int i)
{
	int depth = 0;

	for (; nodes[i].parent >= 0; i = nodes[i].parent)
		depth++;
	return depth;
}

static void step_mkdir(struct rng *rng)
{
	int parent = rng_below(rng, NR_NODES), i;

	for (i = 1; i < NR_NODES && nodes[i].ours; i++)
		;
	if (i < NR_NODES && nodes[parent].ours && depth_of(parent) < 12)
		node_new(i, parent);
}

static void step_rmdir(struct rng *rng)
{
	struct tree_node *node = &nodes[1 + rng_below(rng, NR_NODES - 1)];
	int ours, kernels;

	if (!node->ours)
		return;
	ours = cgroup_remove(node->ours);
	kernels = rmdir(node->path) ? -errno : 0;
	assert_int_equal(ours, kernels);
	if (!ours)
		node_forget(node);
}

static const char *step_attach(struct rng *rng, struct tree_node *node, u32 type)
{
	static const u32 choices[] = {0,
				      0,
				      BPF_F_ALLOW_OVERRIDE,
				      BPF_F_ALLOW_OVERRIDE,
				      BPF_F_ALLOW_MULTI,
				      BPF_F_ALLOW_MULTI,
				      BPF_F_ALLOW_MULTI | BPF_F_REPLACE,
				      BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI,
				      BPF_F_REPLACE};
	static char what[80];
	u32 flags = choices[rng_below(rng, ARRAY_SIZE(choices))];
	int prog = rng_below(rng, NR_PROGS), replace = -1, ours, kernels;

	if (flags & BPF_F_REPLACE)
		replace = rng_below(rng, NR_PROGS);
	ours = cgroup_bpf_attach(node->ours, type, progs[prog].ours,
				 replace < 0 ? NULL : progs[replace].ours, flags);
	kernels = k_attach(node, type, prog, replace, flags);
	snprintf(what, sizeof(what), "attach %d flags %#x replace %d: %d, kernel %d", prog, flags,
		 replace, ours, kernels);
	if (ours != kernels)
		fail_msg("%s: %s", node->path, what);
	return what;
}

static const char *step_detach(struct rng *rng, struct tree_node *node, u32 type)
{
	static char what[80];
	int prog = (int)rng_below(rng, NR_PROGS + 1) - 1, ours, kernels;

	ours = cgroup_bpf_detach(node->ours, type, prog < 0 ? NULL : progs[prog].ours);
	kernels = k_detach(node, type, prog);
	snprintf(what, sizeof(what), "detach %d: %d, kernel %d", prog, ours, kernels);
	if (ours != kernels)
		fail_msg("%s: %s", node->path, what);
	return what;
}

static u32 compare(const struct tree_node *node, const char *after)
{
	char ours[NR_PROGS * NR_NODES + 1], kernels[NR_PROGS * NR_NODES + 1];
	u32 o_flags, k_flags, longest = 0;

	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++)
		for (int effective = 0; effective < 2; effective++) {
			assert_int_equal(k_query(node->fd, type, effective, kernels, &k_flags), 0);
			o_query(node->ours, type, effective, ours, &o_flags);
			if (strcmp(ours, kernels) || (!effective && o_flags != k_flags))
				fail_msg("%s %s type %u after %s: ours %s flags %#x, the kernel's "
					 "%s %#x",
					 node->path, effective ? "effective" : "attached", type,
					 after, ours, o_flags, kernels, k_flags);
			longest = max(longest, (u32)strlen(ours));
		}
	return longest;
}

static void test_random(void **state)
{
	u32 steps = test_rounds(4000), changes = 0, longest = 0, flags;
	char text[NR_PROGS * NR_NODES + 1];
	struct rng rng;

	if (*state) {
		print_message("the kernel's cgroups are not to be had: %s\n", (char *)*state);
		skip();
	}
	rng = rng_init("diff_cgroup");
	node_new(0, -1);
	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++)
		if (!k_query(nodes[0].fd, type, true, text, &flags) && text[0]) {
			print_message("programs of somebody else are effective here\n");
			node_forget(&nodes[0]);
			skip();
		}
	for (u32 n = 0; n < steps; n++) {
		struct tree_node *node = &nodes[rng_below(&rng, NR_NODES)];
		u32 type = rng_below(&rng, MAX_CGROUP_BPF_ATTACH_TYPE), what = rng_below(&rng, 10);
		const char *after = "mkdir or rmdir";

		if (what < 2)
			step_mkdir(&rng);
		else if (what == 2)
			step_rmdir(&rng);
		else if (node->ours && what < 7)
			after = step_attach(&rng, node, type);
		else if (node->ours)
			after = step_detach(&rng, node, type);
		changes += strstr(after, ": 0") != NULL;
		for (int i = 0; i < NR_NODES; i++)
			if (nodes[i].ours)
				longest = max(longest, compare(&nodes[i], after));
	}
	print_message("%u steps, %u of them changed what is attached; the longest set had %u\n",
		      steps, changes, longest);
	assert_true(changes > steps / 20 && longest > 3);
}

static int clean(void **state)
{
	for (bool again = true; again;) {
		again = false;
		for (int i = NR_NODES - 1; i > 0; i--)
			if (nodes[i].ours && !cgroup_remove(nodes[i].ours)) {
				assert_int_equal(rmdir(nodes[i].path), 0);
				node_forget(&nodes[i]);
				again = true;
			}
	}
	if (nodes[0].ours)
		node_forget(&nodes[0]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_random, clean),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
