/* Reads and writes __sk_buff: mark, priority, tc_classid and cb, and drops by mark. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 drop_above = 1000;

SEC("tc")
int tc_mark(struct __sk_buff *skb)
{
	skb->cb[0] = skb->len;
	skb->cb[4] = 4;
	skb->priority = skb->cb[0] + skb->cb[4];
	skb->mark = skb->mark + 1;
	skb->tc_classid = 0x10001;
	return skb->len > drop_above ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("classifier")
int tc_direct(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + 14 > end)
		return TC_ACT_UNSPEC;
	data[0] = 0xfe;
	return data[12] << 8 | data[13];
}

char _license[] SEC("license") = "GPL";
