/*
 * redirect.h - where a program sent its packet
 *
 * A redirect is an action and a note: the helper leaves the target here and returns the action, and
 * whoever ran the program finds both. Nothing is sent by the engine. One a thread, of the last
 * packet that it ran on.
 */
#ifndef UBPFFS_RUN_REDIRECT_H
#define UBPFFS_RUN_REDIRECT_H

#include "util/types.h"

enum bpf_redirect_to {
	BPF_REDIRECT_NOWHERE,
	BPF_REDIRECT_IFINDEX, /* out of this interface, or into it (BPF_F_INGRESS) */
	BPF_REDIRECT_NEIGH, /* out of it, with the link header of the next hop */
	BPF_REDIRECT_PEER, /* into the other end of it, in its namespace */
	BPF_REDIRECT_CPU,
	BPF_REDIRECT_ALL, /* of a map's interfaces (BPF_F_BROADCAST) */
};

struct bpf_redirect {
	enum bpf_redirect_to to;
	u32 target; /* the interface, or the CPU */
	u64 flags;
	u32 map_id; /* of redirect_map, and its key; else 0 */
	u32 key;
	u32 clone; /* interface of the last clone_redirect; 0: none */
};

extern __thread struct bpf_redirect bpf_redirect_note __attribute__((tls_model("initial-exec")));

#endif
