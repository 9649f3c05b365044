/*
 * profile.bpf.c - where processes spend their time
 *
 * Counts the samples of each (user stack, kernel stack, thread name). With the bpffs on M and a
 * process to look at:
 *
 *	cat build/examples/profile.bpf.o > M/progs/new
 *	mkdir M/events/cpu; cd M/events/cpu
 * 	echo perf > type; echo cpu-clock > event; echo PID > pid; echo 99 > freq; echo profile >
 * 	attach echo PID > M/maps/stacks/symbols ubpfctl flame M/maps/stacks M/maps/counts >
 * 	flame.svg
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <bpf/bpf_helpers.h>

#define MAX_DEPTH 127

struct key {
	__s32 user, kernel; /* ids in `stacks`, negative: there was none */
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, MAX_DEPTH * sizeof(__u64));
	__uint(max_entries, 16384);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct key);
	__type(value, __u64);
	__uint(max_entries, 16384);
} counts SEC(".maps");

SEC("perf_event")
int profile(struct bpf_perf_event_data *ctx)
{
	__u64 one = 1, *count;
	struct key key = {};

	key.user = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	key.kernel = bpf_get_stackid(ctx, &stacks, 0);
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_NOEXIST);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
