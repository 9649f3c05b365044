/*
 * socket_filter.c - filters on sockets: classic BPF's heir
 *
 * Reads the packet by LD_ABS, LD_IND and skb_load_bytes, never directly; the result is how many
 * bytes to keep.
 */
#include "helpers/helpers.h"
#include "prog_type/perf_output.h"
#include "prog_type/skb/classic_helpers.h"
#include "prog_type/skb/skb.h"
#include "prog_type/skb/skb_helpers.h"
#include "prog_type/skb/skb_test_run.h"

static const struct bpf_func_proto *const protos[] = {
	&bpf_skb_load_bytes_proto,
	&bpf_skb_load_bytes_relative_proto,
	&bpf_skb_event_output_proto,
};

static const u8 missing[] = {
	BPF_FUNC_get_socket_cookie,
	BPF_FUNC_get_socket_uid,
	BPF_FUNC_get_netns_cookie,
};

static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	if (prog && prog->classic_len && bpf_classic_func_proto(id))
		return bpf_classic_func_proto(id);
	return bpf_type_func_proto(id, prog, protos, ARRAY_SIZE(protos), missing,
				   ARRAY_SIZE(missing));
}

static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *aux)
{
	if (skb_field_is(off, tc_classid) || skb_field_is(off, data) ||
	    skb_field_is(off, data_meta) || skb_field_is(off, data_end) ||
	    skb_field_is(off, tstamp) || skb_field_is(off, wire_len) ||
	    skb_field_is(off, hwtstamp) || skb_field_is(off, tstamp_type))
		return false;
	if (off >= (int)offsetof(struct __sk_buff, family) &&
	    off < (int)__skb_field_end(local_port))
		return false;
	if (type == BPF_WRITE && !skb_field_is(off, cb))
		return false;
	aux->reg_type = SCALAR_VALUE;
	return bpf_skb_is_valid_access(off, size, type, aux);
}

const struct bpf_prog_type_ops bpf_socket_filter_ops = {
	.type = BPF_PROG_TYPE_SOCKET_FILTER,
	.name = "socket_filter",
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.convert_ctx_access = bpf_skb_convert_ctx_access,
	.has_ld_abs = true,
	.test_run = bpf_skb_test_run,
};
