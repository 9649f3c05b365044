/*
 * A raw program whose argument says nothing of its block: refused.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("raw")
int no_size(void *block)
{
	return 0;
}
