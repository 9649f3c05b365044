/*
 * A perf_event program that uses all that a sample has.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <bpf/bpf_helpers.h>

#ifdef __TARGET_x86_64__
#define IP rip
#define SP rsp
#else
#define IP pc
#define SP sp
#endif

struct sample {
	__u64 samples, period, counter, enabled;
	__u64 ip, sp;
	__u32 pid, uid;
	char comm[16];
	__s32 user_bytes, kernel_bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32); /* pid */
	__type(value, struct sample);
	__uint(max_entries, 4096);
} by_pid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
	__uint(max_entries, 4096);
} user_stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4096);
} user_counts SEC(".maps");

SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	struct bpf_perf_event_value value = {};
	struct sample new = {}, *s;
	__u64 stack[8], one = 1, *n;
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	char comm[16];
	__s32 id;

	s = bpf_map_lookup_elem(&by_pid, &pid);
	if (!s) {
		bpf_map_update_elem(&by_pid, &pid, &new, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&by_pid, &pid);
	}
	if (!s)
		return 0;
	__sync_fetch_and_add(&s->samples, 1);
	s->pid = pid;
	s->uid = bpf_get_current_uid_gid();
	s->period = ctx->sample_period;
	s->ip = ctx->regs.IP;
	s->sp = ctx->regs.SP;
	if (!bpf_perf_prog_read_value(ctx, &value, sizeof(value))) {
		s->counter = value.counter;
		s->enabled = value.enabled;
	}
	/* not into the map: two sources may run this at once */
	bpf_get_current_comm(comm, sizeof(comm));
	__builtin_memcpy(s->comm, comm, sizeof(comm));
	s->user_bytes = bpf_get_stack(ctx, stack, sizeof(stack), BPF_F_USER_STACK);
	s->kernel_bytes = bpf_get_stack(ctx, stack, sizeof(stack), 0);
	id = bpf_get_stackid(ctx, &user_stacks, BPF_F_USER_STACK);
	if (id < 0)
		return 0;
	n = bpf_map_lookup_elem(&user_counts, &id);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&user_counts, &id, &one, BPF_NOEXIST);
	return 0;
}

char _license[] SEC("license") = "GPL";
