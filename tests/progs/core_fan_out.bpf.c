/*
 * A local type whose members all stand for the same one of core_target, each with as many of its
 * own: whether it matches takes 100 million looks. The test makes "exists" a "matches", which this
 * compiler does not know.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define TEN(n)                                                                                     \
	MEMBER(n##0)                                                                               \
	MEMBER(n##1)                                                                               \
	MEMBER(n##2) MEMBER(n##3) MEMBER(n##4) MEMBER(n##5) MEMBER(n##6) MEMBER(n##7) MEMBER(n##8) \
		MEMBER(n##9)
#define HUNDRED(n) \
	TEN(n##0)  \
	TEN(n##1) TEN(n##2) TEN(n##3) TEN(n##4) TEN(n##5) TEN(n##6) TEN(n##7) TEN(n##8) TEN(n##9)
#define THOUSAND(n)                                                                         \
	HUNDRED(n##0)                                                                       \
	HUNDRED(n##1)                                                                       \
	HUNDRED(n##2) HUNDRED(n##3) HUNDRED(n##4) HUNDRED(n##5) HUNDRED(n##6) HUNDRED(n##7) \
		HUNDRED(n##8) HUNDRED(n##9)
#define ALL(n)                                                                                    \
	THOUSAND(n##0)                                                                            \
	THOUSAND(n##1)                                                                            \
	THOUSAND(n##2) THOUSAND(n##3) THOUSAND(n##4) THOUSAND(n##5) THOUSAND(n##6) THOUSAND(n##7) \
		THOUSAND(n##8) THOUSAND(n##9)

struct core_inner___many {
#define MEMBER(n) int x___##n;
	ALL(m)
#undef MEMBER
};

struct core_outer___many {
#define MEMBER(n) struct core_inner___many in___##n;
	ALL(m)
#undef MEMBER
};

SEC("socket")
int core_fan_out(void *ctx)
{
	return bpf_core_type_exists(struct core_outer___many);
}

char LICENSE[] SEC("license") = "GPL";
