/*
 * domain.h - abstract registers with known members, for the tests of the verifier's domain
 *
 * A test draws a few concrete values, makes the register that stands for them (their hull in all
 * five views, some views then forgotten at random), applies the abstract and the concrete
 * operation, and asks whether the concrete results are inside.
 */
#ifndef UBPFFS_TESTS_DOMAIN_H
#define UBPFFS_TESTS_DOMAIN_H

#include "verifier/domain/alu.h"
#include "verifier/domain/bounds.h"
#include "verifier/domain/jump.h"
#include "verifier/report/reg_text.h"

struct rng {
	u64 state;
};

/* Seeded by UBPFFS_SEED when it is set, so that a failure can be repeated; prints the seed. */
struct rng rng_init(const char *test);
u64 rng_u64(struct rng *rng);
u32 rng_below(struct rng *rng, u32 n);
/* Values near the places where views wrap: 0, powers of two, sign boundaries of 8 to 64 bits. */
u64 rng_interesting(struct rng *rng);

/* UBPFFS_ROUNDS multiplies how long the random tests run (default 1). */
u32 test_rounds(u32 n);

bool tnum_has(struct tnum t, u64 x);
/* NULL when x is inside all five views, else the name of one that it is not in. */
const char *reg_lacks(const struct bpf_reg_state *reg, u64 x);
struct bpf_reg_state reg_hull(const u64 *members, int n);
/* A random register and some of its members. n is 1 to 4. */
struct bpf_reg_state reg_random(struct rng *rng, u64 *members, int *n);
/* All views on one line, for messages. */
const char *reg_text(const struct bpf_reg_state *reg, char *buf, size_t len);

/* What the instruction does to the values, written directly from RFC 9669. */
u64 concrete_alu(const struct bpf_insn *insn, u64 dst, u64 src);
bool concrete_jump(u8 opcode, bool is_jmp32, u64 dst, u64 src);

#endif
