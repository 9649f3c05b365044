/* A CO-RE relocation against a kernel type: must be refused by name (ENOTSUP). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

SEC("socket")
int refuse_core(struct __sk_buff *skb)
{
	struct task_struct *task = (void *)0;
	int tgid = 0;

	bpf_probe_read_kernel(&tgid, sizeof(tgid), &task->tgid);
	return tgid;
}

char _license[] SEC("license") = "GPL";
