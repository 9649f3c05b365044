/*
 * diff_stack.c - stack_trace maps and bpf_get_stackid() held against the running kernel's
 *
 * A perf_event program runs in the kernel at each page fault of this thread, so that the test
 * decides when, with which stack: a write from a function that called itself some times, or read(2)
 * into the page, which faults in the kernel. It notes the whole stack in a map of its own too: ours
 * gets these addresses as its sample. What must be equal: the errno, or that there is an id, and
 * what the map holds under it. (Ids differ: the hash is each one's own.)
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <cmocka.h>
#include "map/types/stackmap.h"
#include "run/sample.h"
#include "map/map.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

#define FULL	BPF_MAX_STACK_DEPTH
#define NOTHING 777 /* the program did not run */

static int zero_fd = -1, result_fd, full_fd;

/* ---- the kernel's side */

struct result {
	s64 full, tested;
};

/*
 * At the next fault: the whole stack into full_fd, and the call that is tested; both ids into
 * result_fd.
 */
static int load_kernel(int map_fd, u64 flags, bool in_kernel)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_REG(6, 1),
		BPF_LD_MAP_IDX(2, 2),
		BPF_MOV64_IMM(3, in_kernel ? 0 : BPF_F_USER_STACK),
		BPF_EMIT_CALL(BPF_FUNC_get_stackid),
		BPF_STX_MEM(BPF_DW, 10, 0, -24),
		BPF_MOV64_REG(1, 6),
		BPF_LD_MAP_IDX(2, 0),
		BPF_MOV64_IMM(3, (s32)flags),
		BPF_EMIT_CALL(BPF_FUNC_get_stackid),
		BPF_STX_MEM(BPF_DW, 10, 0, -16),
		BPF_ST_MEM(BPF_W, 10, -4, 0),
		BPF_LD_MAP_IDX(1, 1),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_MOV64_REG(3, 10),
		BPF_ALU64_IMM(BPF_ADD, 3, -24),
		BPF_MOV64_IMM(4, 0),
		BPF_EMIT_CALL(BPF_FUNC_map_update_elem),
		BPF_MOV64_IMM(0, 0),
		BPF_EXIT_INSN(),
	};
	const struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_PERF_EVENT,
						.license = "GPL",
						.insns = insns,
						.insn_cnt = ARRAY_SIZE(insns)};
	const int fds[] = {map_fd, result_fd, full_fd};
	int fd = kernel_prog_load(&attr, fds, 0, NULL, 0);

	assert_true(fd >= 0);
	return fd;
}

/* A sanitizer's shadow of the page would fault, too, and be sampled. */
#define UNWATCHED __attribute__((noinline, no_sanitize_thread, no_sanitize_address))

/* The fault itself, under `depth` more frames. */
static UNWATCHED int fault(char *page, u32 depth, bool in_kernel)
{
	int ret;

	if (depth)
		ret = fault(page, depth - 1, in_kernel);
	else if (in_kernel)
		ret = (int)syscall(SYS_read, zero_fd, page, 8);
	else
		ret = *(volatile char *)page = 1;
	/* No tail call; and who asks for its frame gets one. */
	__asm__ volatile("" : "+r"(ret) : "r"(__builtin_frame_address(0)));
	return ret;
}

static struct result run_kernel(int map_fd, u64 flags, u32 depth, bool in_kernel)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_PAGE_FAULTS,
				       .sample_period = 1,
				       .disabled = 1};
	int prog = load_kernel(map_fd, flags, in_kernel);
	int event = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct result result = {NOTHING, NOTHING};
	u32 zero = 0;

	assert_true(page != MAP_FAILED);
	if (event < 0 || ioctl(event, PERF_EVENT_IOC_SET_BPF, prog)) {
		print_message("no program at page faults here: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(kernel_map_update(result_fd, &zero, &result, 0), 0);
	ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	fault(page, depth, in_kernel);
	ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
	assert_int_equal(kernel_map_lookup(result_fd, &zero, &result), 0);
	close(event);
	close(prog);
	munmap(page, 4096);
	return result;
}

/* ---- both */

struct stack {
	u32 depth;
	bool in_kernel;
	u64 ips[FULL]; /* of the last run */
	u32 nr;
};

static s64 kernel_stackid(int map_fd, u64 flags, struct stack *s)
{
	struct result result = run_kernel(map_fd, flags, s->depth, s->in_kernel);
	u32 key = (u32)result.full;

	assert_in_range(result.full, 0, 63);
	assert_int_equal(kernel_map_lookup(full_fd, &key, s->ips), 0);
	assert_int_equal(kernel_map_delete(full_fd, &key), 0);
	for (s->nr = FULL; s->nr && !s->ips[s->nr - 1]; s->nr--)
		;
	assert_true(s->nr > (s->in_kernel ? 2 : s->depth));
	return result.tested;
}

static s64 our_stackid(struct bpf_map *map, u64 flags, const struct stack *s)
{
	struct bpf_sample sample = {.pid = (u32)getpid(), .tid = (u32)getpid()};
	struct bpf_stack_build_id ids[FULL];
	s64 ret;

	if (s->in_kernel) {
		sample.kernel_ips = s->ips;
		sample.kernel_nr = s->nr;
	} else {
		sample.user_ips = s->ips;
		sample.user_nr = s->nr;
		bpf_own_build_ids(s->ips, s->nr, ids); /* a sample brings them along */
		sample.user_ids = ids;
	}
	bpf_run_enter();
	bpf_this.sample = &sample;
	ret = (s64)bpf_get_stackid_proto.func(0, (u64)(uintptr_t)map, flags, 0, 0);
	bpf_this.sample = NULL;
	bpf_run_exit();
	return ret;
}

struct pair {
	int fd;
	struct bpf_map *map;
	struct bpf_map_spec spec;
};

static void pair_open(struct pair *p, u32 max_entries, u32 value_size, u32 flags)
{
	p->spec = (struct bpf_map_spec){.map_type = BPF_MAP_TYPE_STACK_TRACE,
					.key_size = 4,
					.value_size = value_size,
					.max_entries = max_entries,
					.map_flags = flags};
	p->fd = kernel_map_create(&p->spec);
	assert_true(p->fd >= 0);
	assert_int_equal(bpf_map_create(&p->spec, 0, -1, -1, &p->map), 0);
}

static void pair_close(struct pair *p)
{
	close(p->fd);
	bpf_map_put(p->map);
}

/* One call on both sides; returns the kernel's result. */
static s64 compare(struct pair *p, u64 flags, struct stack *s)
{
	s64 want = kernel_stackid(p->fd, flags, s);
	s64 got = our_stackid(p->map, flags, s);
	u64 a[FULL * 4] = {0}, b[FULL * 4] = {0};
	u32 theirs = (u32)want, ours = (u32)got;

	assert_true(want != NOTHING);
	if ((want < 0 || got < 0) && want != got)
		fail_msg("max %u value %u flags %#x, bpf_get_stackid(%#llx), %u addresses: kernel "
			 "%lld, ours %lld",
			 p->spec.max_entries, p->spec.value_size, p->spec.map_flags,
			 (unsigned long long)flags, s->nr, (long long)want, (long long)got);
	if (want < 0)
		return want;
	assert_int_equal(kernel_map_lookup(p->fd, &theirs, a), 0);
	assert_int_equal(bpf_map_lookup(p->map, &ours, b, 0), 0);
	assert_memory_equal(a, b, p->spec.value_size);
	return want;
}

static void delete_all(struct pair *p)
{
	for (u32 key = 0; key < 64; key++) {
		kernel_map_delete(p->fd, &key);
		bpf_map_delete(p->map, &key);
	}
}

/* ThreadSanitizer keeps a shadow of what is called and touched, whose page faults are sampled. */
static void unwatched_only(void)
{
#ifdef __SANITIZE_THREAD__
	print_message("page faults of ThreadSanitizer are sampled, too\n");
	skip();
#endif
}

static void test_flags_and_sizes(void **state)
{
	static const u64 flags[] = {0,
				    BPF_F_FAST_STACK_CMP,
				    BPF_F_REUSE_STACKID,
				    BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID,
				    BPF_F_USER_BUILD_ID,
				    1 << 12,
				    1 << 30};
	static const u32 skips[] = {0, 1, 2, 3, 20, 126, 127, 128, 255};
	static const u32 depths[] = {1, 2, 4, FULL};
	u32 found = 0, refused = 0;

	unwatched_only();
	for (int in_kernel = 0; in_kernel < 2; in_kernel++) {
		struct stack s = {.depth = 3, .in_kernel = in_kernel};

		for (u32 d = 0; d < ARRAY_SIZE(depths); d++) {
			struct pair p;

			pair_open(&p, 64, depths[d] * 8, 0);
			for (u32 f = 0; f < ARRAY_SIZE(flags); f++)
				for (u32 k = 0; k < ARRAY_SIZE(skips); k++) {
					u64 user = in_kernel ? 0 : BPF_F_USER_STACK;
					s64 ret = compare(&p, flags[f] | skips[k] | user, &s);

					found += ret >= 0;
					refused += ret < 0;
					delete_all(&p);
				}
			pair_close(&p);
		}
	}
	assert_true(found && refused);
}

/* Two stacks that want the one bucket there is. */
static void test_taken_buckets(void **state)
{
	u64 user = BPF_F_USER_STACK;
	struct stack a = {.depth = 2}, b = {.depth = 6};
	struct pair p;

	unwatched_only();
	pair_open(&p, 1, 4 * 8, 0); /* no frames but those of fault(), and who called it */
	assert_int_equal(compare(&p, user, &a), 0);
	assert_int_equal(compare(&p, user, &a), 0);
	assert_int_equal(compare(&p, user | BPF_F_FAST_STACK_CMP, &a), 0);
	assert_int_equal(compare(&p, user, &b), -EEXIST);
	assert_int_equal(compare(&p, user | BPF_F_FAST_STACK_CMP, &b), -EEXIST);
	compare(&p, user | BPF_F_REUSE_STACKID, &b); /* there is no second element */
	compare(&p, user, &b);
	compare(&p, user, &a);
	delete_all(&p);
	assert_int_equal(compare(&p, user, &b), 0);
	assert_int_equal(compare(&p, user | BPF_F_REUSE_STACKID, &b), 0);
	pair_close(&p);
}

/* User addresses by file, the kernel's as they are. */
static void test_build_ids(void **state)
{
	struct stack user = {.depth = 4}, kernel = {.depth = 4, .in_kernel = true};
	struct pair p;

	/*
	 * The frames of fault() and who called it: what is above may be no frames, and Linux
	 * guesses their files.
	 */
	pair_open(&p, 64, 6 * sizeof(struct bpf_stack_build_id), BPF_F_STACK_BUILD_ID);
	assert_true(compare(&p, BPF_F_USER_STACK, &user) >= 0);
	delete_all(&p);
	assert_true(compare(&p, BPF_F_USER_STACK | 1, &(struct stack){.depth = 5}) >= 0);
	delete_all(&p);
	assert_true(compare(&p, 0, &kernel) >= 0);
	delete_all(&p);
	assert_true(compare(&p, 2, &kernel) >= 0);
	pair_close(&p);
}

static int setup(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
				    .key_size = 4,
				    .value_size = sizeof(struct result),
				    .max_entries = 1};
	struct bpf_map_spec full = {.map_type = BPF_MAP_TYPE_STACK_TRACE,
				    .key_size = 4,
				    .value_size = FULL * 8,
				    .max_entries = 64};

	full_fd = kernel_map_create(&full);
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	result_fd = kernel_map_create(&spec);
	return zero_fd < 0;
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_flags_and_sizes, kernel_needed),
		cmocka_unit_test_setup(test_taken_buckets, kernel_needed),
		cmocka_unit_test_setup(test_build_ids, kernel_needed),
	};

	kernel_or_skip_some(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, setup, NULL);
}
