/* A program type that this build may lack: must be refused by name (ENOTSUP) when it does. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("kprobe/do_nanosleep")
int refuse_type(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
