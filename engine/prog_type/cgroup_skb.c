/*
 * cgroup_skb.c - what enters and leaves the processes of a cgroup
 *
 * Sees the packet from the network header on. The result is 1 to let it pass, 0 to drop it; on
 * egress 2 and 3 say the same and that there is congestion.
 */
#include "cgroup/cgroup.h"
#include "helpers/helpers.h"
#include "prog_type/perf_output.h"
#include "prog_type/skb/skb.h"
#include "map/types/cgroup_storage.h"
#include "prog_type/skb/skb_helpers.h"
#include "prog_type/skb/skb_test_run.h"

/* ---- which cgroup: 0 in a test run of the program alone, which has no socket */

static u64 bpf_skb_cgroup_id(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_skb *skb = PTR(r1);

	return skb->cgrp ? cgroup_id(skb->cgrp) : 0;
}

static const struct bpf_func_proto skb_cgroup_id_proto = {
	.name = "bpf_skb_cgroup_id",
	.id = BPF_FUNC_skb_cgroup_id,
	.func = bpf_skb_cgroup_id,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX},
};

static u64 bpf_skb_ancestor_cgroup_id(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_skb *skb = PTR(r1);

	return skb->cgrp && (s32)r2 >= 0 ? cgroup_ancestor_id(skb->cgrp, (u32)r2) : 0;
}

static const struct bpf_func_proto skb_ancestor_cgroup_id_proto = {
	.name = "bpf_skb_ancestor_cgroup_id",
	.id = BPF_FUNC_skb_ancestor_cgroup_id,
	.func = bpf_skb_ancestor_cgroup_id,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX, ARG_ANYTHING},
};

static const struct bpf_func_proto *const protos[] = {
	&bpf_skb_load_bytes_proto,     &bpf_skb_load_bytes_relative_proto,
	&bpf_skb_ecn_set_ce_proto,     &skb_cgroup_id_proto,
	&skb_ancestor_cgroup_id_proto, &bpf_skb_event_output_proto,
	&bpf_get_local_storage_proto,
};

static const u8 missing[] = {
	BPF_FUNC_get_socket_cookie, BPF_FUNC_get_socket_uid,
	BPF_FUNC_sk_lookup_tcp,	    BPF_FUNC_sk_lookup_udp,
	BPF_FUNC_sk_release,	    BPF_FUNC_sk_fullsock,
	BPF_FUNC_tcp_sock,	    BPF_FUNC_get_listener_sock,
	BPF_FUNC_skc_lookup_tcp,    BPF_FUNC_sk_storage_get,
	BPF_FUNC_sk_storage_delete, BPF_FUNC_get_netns_cookie,
	BPF_FUNC_sk_cgroup_id,	    BPF_FUNC_sk_ancestor_cgroup_id,
};

static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_type_func_proto(id, prog, protos, ARRAY_SIZE(protos), missing,
				   ARRAY_SIZE(missing));
}

static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *aux)
{
	if (skb_field_is(off, tc_classid) || skb_field_is(off, data_meta) ||
	    skb_field_is(off, wire_len) || skb_field_is(off, tstamp_type))
		return false;
	if (type == BPF_WRITE && !skb_field_is(off, mark) && !skb_field_is(off, priority) &&
	    !skb_field_is(off, cb) && !skb_field_is(off, tstamp))
		return false;

	aux->reg_type = SCALAR_VALUE;
	if (skb_field_is(off, data))
		aux->reg_type = PTR_TO_PACKET;
	else if (skb_field_is(off, data_end))
		aux->reg_type = PTR_TO_PACKET_END;
	return bpf_skb_is_valid_access(off, size, type, aux);
}

static bool retval_range(const struct bpf_prog *prog, s32 *minval, s32 *maxval)
{
	*minval = 0;
	*maxval = prog->expected_attach_type == BPF_CGROUP_INET_EGRESS ? 3 : 1;
	return true;
}

static bool is_valid_attach_type(enum bpf_attach_type type)
{
	return type == BPF_CGROUP_INET_INGRESS || type == BPF_CGROUP_INET_EGRESS;
}

const struct bpf_prog_type_ops bpf_cgroup_skb_ops = {
	.type = BPF_PROG_TYPE_CGROUP_SKB,
	.name = "cgroup_skb",
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.convert_ctx_access = bpf_skb_convert_ctx_access,
	.has_packet = true,
	.retval_range = retval_range,
	.is_valid_attach_type = is_valid_attach_type,
	.test_run = bpf_skb_test_run,
};
