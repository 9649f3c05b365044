/*
 * urcu.h - in place of liburcu's in a build without CONFIG_BPF_SYSCALL
 *
 * Nothing there waits for readers, so all that is left of RCU is the room in structures.
 */
#ifndef UBPFFS_ALONE_URCU_H
#define UBPFFS_ALONE_URCU_H

struct rcu_head {
	struct rcu_head *next;
};

#endif
