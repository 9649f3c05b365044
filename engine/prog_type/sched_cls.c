/*
 * sched_cls.c - traffic control: sees the whole frame and may change it
 */
#include "helpers/helpers.h"
#include "prog_type/perf_output.h"
#include "prog_type/route/mtu.h"
#include "prog_type/redirect.h"
#include "prog_type/route/fib.h"
#include "prog_type/skb/csum.h"
#include "prog_type/skb/skb.h"
#include "prog_type/skb/skb_helpers.h"
#include "prog_type/skb/skb_test_run.h"
#include "prog_type/skb/skb_tunnel.h"

static const struct bpf_func_proto *const protos[] = {
	&bpf_skb_load_bytes_proto,     &bpf_skb_load_bytes_relative_proto,
	&bpf_skb_store_bytes_proto,    &bpf_skb_pull_data_proto,
	&bpf_skb_change_head_proto,    &bpf_skb_change_tail_proto,
	&bpf_skb_change_type_proto,    &bpf_l3_csum_replace_proto,
	&bpf_l4_csum_replace_proto,    &bpf_csum_diff_proto,
	&bpf_csum_update_proto,	       &bpf_csum_level_proto,
	&bpf_get_hash_recalc_proto,    &bpf_set_hash_invalid_proto,
	&bpf_set_hash_proto,	       &bpf_skb_adjust_room_proto,
	&bpf_skb_vlan_push_proto,      &bpf_skb_vlan_pop_proto,
	&bpf_skb_ecn_set_ce_proto,     &bpf_skb_event_output_proto,
	&bpf_skb_check_mtu_proto,      &bpf_skb_redirect_proto,
	&bpf_skb_redirect_neigh_proto, &bpf_skb_redirect_peer_proto,
	&bpf_skb_clone_redirect_proto, &bpf_skb_fib_lookup_proto,
	&bpf_skb_change_proto_proto,   &bpf_skb_get_tunnel_key_proto,
	&bpf_skb_set_tunnel_key_proto,
};

static const u8 missing[] = {
	BPF_FUNC_get_route_realm,
	BPF_FUNC_skb_get_tunnel_opt,
	BPF_FUNC_skb_set_tunnel_opt,
	BPF_FUNC_skb_under_cgroup,
	BPF_FUNC_get_socket_cookie,
	BPF_FUNC_get_socket_uid,
	BPF_FUNC_skb_get_xfrm_state,
	BPF_FUNC_skb_cgroup_id,
	BPF_FUNC_skb_ancestor_cgroup_id,
	BPF_FUNC_sk_lookup_tcp,
	BPF_FUNC_sk_lookup_udp,
	BPF_FUNC_sk_release,
	BPF_FUNC_sk_fullsock,
	BPF_FUNC_tcp_sock,
	BPF_FUNC_get_listener_sock,
	BPF_FUNC_skc_lookup_tcp,
	BPF_FUNC_tcp_check_syncookie,
	BPF_FUNC_sk_storage_get,
	BPF_FUNC_sk_storage_delete,
	BPF_FUNC_tcp_gen_syncookie,
	BPF_FUNC_get_netns_cookie,
	BPF_FUNC_sk_assign,
	BPF_FUNC_skb_cgroup_classid,
	BPF_FUNC_skb_set_tstamp,
	BPF_FUNC_tcp_raw_gen_syncookie_ipv4,
	BPF_FUNC_tcp_raw_gen_syncookie_ipv6,
	BPF_FUNC_tcp_raw_check_syncookie_ipv4,
	BPF_FUNC_tcp_raw_check_syncookie_ipv6,
};

static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_type_func_proto(id, prog, protos, ARRAY_SIZE(protos), missing,
				   ARRAY_SIZE(missing));
}

static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *aux)
{
	if (off >= (int)offsetof(struct __sk_buff, family) &&
	    off < (int)__skb_field_end(local_port))
		return false;
	if (type == BPF_WRITE && !skb_field_is(off, mark) && !skb_field_is(off, tc_index) &&
	    !skb_field_is(off, priority) && !skb_field_is(off, tc_classid) &&
	    !skb_field_is(off, cb) && !skb_field_is(off, tstamp) &&
	    !skb_field_is(off, queue_mapping))
		return false;

	aux->reg_type = SCALAR_VALUE;
	if (skb_field_is(off, data))
		aux->reg_type = PTR_TO_PACKET;
	else if (skb_field_is(off, data_meta))
		aux->reg_type = PTR_TO_PACKET_META;
	else if (skb_field_is(off, data_end))
		aux->reg_type = PTR_TO_PACKET_END;
	return bpf_skb_is_valid_access(off, size, type, aux);
}

const struct bpf_prog_type_ops bpf_sched_cls_ops = {
	.type = BPF_PROG_TYPE_SCHED_CLS,
	.name = "sched_cls",
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.convert_ctx_access = bpf_skb_convert_ctx_access,
	.may_write_packet = true,
	.has_packet = true,
	.has_ld_abs = true,
	.test_run = bpf_skb_test_run,
};
