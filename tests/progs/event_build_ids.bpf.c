/*
 * perf_event programs that ask for user stacks as build ids: into a map, and into memory.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, 4);
	__uint(value_size, 127 * sizeof(struct bpf_stack_build_id));
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_STACK_BUILD_ID);
} id_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4); /* innermost addresses by their status, and others */
} statuses SEC(".maps");

static void count_status(__u32 status)
{
	__u64 *n = bpf_map_lookup_elem(&statuses, &status);

	if (n)
		__sync_fetch_and_add(n, 1);
}

SEC("perf_event")
int stack_to_map(struct bpf_perf_event_data *ctx)
{
	bpf_get_stackid(ctx, &id_stacks, BPF_F_USER_STACK);
	return 0;
}

SEC("perf_event")
int stack_to_memory(struct bpf_perf_event_data *ctx)
{
	struct bpf_stack_build_id ids[4];

	if (bpf_get_stack(ctx, ids, sizeof(ids), BPF_F_USER_STACK | BPF_F_USER_BUILD_ID) <
	    (long)sizeof(ids[0]))
		count_status(3);
	else
		count_status(ids[0].status);
	return 0;
}

char _license[] SEC("license") = "GPL";
