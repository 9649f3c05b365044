/*
 * reasons.h - why a program is refused: each reason's errno, wording and hint, listed once
 *
 * A check that refuses a program names a reason of this table and gives what it knows (struct
 * bpf_reason): the verifier's log, bpf_report() and whoever loads programs print from that. The
 * wording is the kernel's where Linux refuses the same thing, to the character.
 *
 * A row is X(code, errno, wording, hint). In the wording:
 *   %r  the register's number        %t  the kind of what it holds
 *   %d  the next number              %x  the same, two hexadecimal digits
 *   %h  the same, hexadecimal with 0x
 *   %s  the next name
 * The hint is what to do about it, or NULL.
 */
#ifndef UBPFFS_VERIFIER_REASONS_H
#define UBPFFS_VERIFIER_REASONS_H

#include "core/verdict.h"

/* clang-format off */
#define BPF_REASON_TABLE(X) \
	/* the program as a whole */ \
	X(ERRNO, 0, "%s", NULL) \
	X(NO_MEMORY, ENOMEM, "out of memory", NULL) \
	X(INTERRUPTED, EINTR, "interrupted", NULL) \
	X(PROG_TYPE, ENOTSUP, "programs of this type are not supported by this build", \
	  "the file `features` lists what this build has") \
	X(PROG_LEN, E2BIG, "a program has 1 to %d instructions", NULL) \
	X(TOO_LARGE, E2BIG, "BPF program is too large. Processed %d insn", \
	  "give loops a constant bound, or split the program by tail calls") \
	X(TOO_MUCH_WORK, E2BIG, \
	  "BPF program is too complex. Its verification takes more than %d million steps", \
	  "give loops a constant bound, or split the program by tail calls") \
	X(JUMP_SEQUENCE, E2BIG, "The sequence of %d jumps is too complex.", \
	  "give loops a constant bound, or split the program by tail calls") \
	X(STATES_MEMORY, E2BIG, "the states of this program need too much memory", NULL) \
	X(SHARED_MEMORY, ENOMEM, "the programs being verified need too much memory together", \
	  "load it again when the others are done") \
	X(INFINITE_LOOP, EINVAL, "infinite loop detected at insn %d", \
	  "a loop needs a bound that the verifier can see") \
	/* instructions and how control moves between them */ \
	X(OPCODE, EINVAL, "unknown opcode %x", NULL) \
	X(RESERVED_FIELDS, EINVAL, "%s uses reserved fields", NULL) \
	X(REG_NUMBER, EINVAL, "R%r is invalid", NULL) \
	X(ATOMIC_OPCODE, EINVAL, "BPF_ATOMIC uses invalid atomic opcode %x", NULL) \
	X(ATOMIC_MISSING, ENOTSUP, \
	  "BPF_ATOMIC uses invalid atomic opcode %x (not supported by this build)", \
	  "the file `features` lists what this build has") \
	X(LAST_INSN, EINVAL, "last insn is not an exit or jmp", NULL) \
	X(JUMP_OUT, EINVAL, "jump out of range from insn %d to %d", NULL) \
	X(JUMP_INTO_IMM64, EINVAL, "jump into the middle of ldimm64 insn %d", NULL) \
	X(UNREACHABLE, EINVAL, "unreachable insn %d", \
	  "no path leads to this instruction: remove it") \
	X(IMM64, EINVAL, "invalid bpf_ld_imm64 insn", NULL) \
	X(IMM64_KIND, ENOTSUP, \
	  "insn %d: this kind of bpf_ld_imm64 is not supported by this build", \
	  "the file `features` lists what this build has") \
	X(IMM64_UNKNOWN, EINVAL, "unrecognized bpf_ld_imm64 insn", NULL) \
	X(LD_ABS_TYPE, EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type", \
	  NULL) \
	X(LD_ABS_CTX, EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb", NULL) \
	X(LD_ABS_SUBPROG, EINVAL, "LD_ABS is not allowed in subprogs without BTF", NULL) \
	X(PTR_KINDS, EINVAL, "same insn cannot be used with different pointers", NULL) \
	/* registers and arithmetic */ \
	X(NOT_INIT, EACCES, "R%r !read_ok", \
	  "the register holds nothing on this path: give the variable a value first") \
	X(FP_READ_ONLY, EACCES, "frame pointer is read only", \
	  "R10 cannot be changed: copy it to another register") \
	X(DIV_BY_ZERO, EINVAL, "div by zero", "the constant divisor is 0") \
	X(SHIFT, EINVAL, "invalid shift %d", NULL) \
	X(PTR_MATH_CONST, EINVAL, "math between %t pointer and %d is not allowed", NULL) \
	X(PTR_OFFSET, EINVAL, "%t pointer offset %d is not allowed", NULL) \
	X(PTR_MATH_UNBOUNDED, EINVAL, \
	  "math between %t pointer and register with unbounded min value is not allowed", \
	  "limit the variable before using it: compare it, or var &= constant") \
	X(PTR_OUT_OF_BOUNDS, EINVAL, "value %d makes %t pointer be out of bounds", NULL) \
	X(PTR_MATH_OR_NULL, EACCES, \
	  "R%r pointer arithmetic on %t prohibited, null-check it first", \
	  "compare the pointer with NULL before calculating with it") \
	X(PTR_MATH_ON, EACCES, "R%r pointer arithmetic on %t prohibited", \
	  "only additions and subtractions of 64 bits are allowed on pointers") \
	X(PTR_MATH_32, EACCES, "R%r 32-bit pointer arithmetic prohibited", \
	  "only additions and subtractions of 64 bits are allowed on pointers") \
	X(PTR_MATH_OP, EACCES, "R%r pointer arithmetic with %s operator prohibited", \
	  "only additions and subtractions of 64 bits are allowed on pointers") \
	X(PTR_SUB_FROM_SCALAR, EACCES, "R%r tried to subtract pointer from scalar", NULL) \
	X(PTR_SUB_STACK, EACCES, "R%r subtraction from stack pointer prohibited", NULL) \
	X(PTR_BITWISE, EACCES, "R%r bitwise operator %s on pointer prohibited", NULL) \
	X(PTR_OP_PTR, EACCES, "R%r pointer %s pointer prohibited", NULL) \
	X(PTR_ARITH, EACCES, "R%r pointer arithmetic prohibited", \
	  "a program that is loaded strictly may not make numbers of addresses") \
	X(PTR_PARTIAL, EACCES, "R%r partial copy of pointer", \
	  "a program that is loaded strictly may not make numbers of addresses") \
	X(PTR_SEXT, EACCES, "R%r sign-extension part of pointer", \
	  "a program that is loaded strictly may not make numbers of addresses") \
	X(PTR_COMPARE, EACCES, "R%r pointer comparison prohibited", \
	  "a program that is loaded strictly compares pointers with NULL and data_end only") \
	X(PTR_MAP_RANGE, EACCES, \
	  "R%r pointer arithmetic of map value goes out of range, prohibited for !root", \
	  "limit the index before adding it: the sum must stay inside of the value") \
	X(PTR_STACK_RANGE, EACCES, \
	  "R%r stack pointer arithmetic goes out of range, prohibited for !root; off=%d", \
	  "a frame has 512 bytes, below R10") \
	X(PTR_STACK_VAR, EACCES, \
	  "R%r variable stack access prohibited for !root, var_off=%s off=%d", \
	  "a program that is loaded strictly has no arrays with variable indices on the stack") \
	X(ADDR_LEAK, EACCES, "R%r leaks addr into %s", \
	  "a program that is loaded strictly may not give addresses away") \
	X(ADDR_RETURNED, EACCES, "R%r leaks addr as return value", \
	  "a program that is loaded strictly may not give addresses away") \
	X(ADDR_ON_STACK, EACCES, "leaking pointer from stack off %d", \
	  "a program that is loaded strictly may not give addresses away") \
	X(PTR_NEGATIVE_OFF, EACCES, "negative offset %t ptr R%r off=%d disallowed", NULL) \
	X(PTR_MODIFIED, EACCES, "dereference of modified %t ptr R%r off=%d disallowed", NULL) \
	X(PTR_VAR_OFF, EACCES, "variable %t access var_off=%s disallowed", NULL) \
	X(INVARIANTS, EFAULT, \
	  "REG INVARIANTS VIOLATION (%s): u64=[%h, %h] s64=[%h, %h] u32=[%h, %h] s32=[%h, %h] " \
	  "var_off=%s", \
	  NULL) \
	/* loads and stores */ \
	X(MEM_ACCESS, EACCES, "R%r invalid mem access '%t'", NULL) \
	X(MISALIGNED, EACCES, "misaligned %saccess off %s+%d+%d size %d", NULL) \
	X(MISALIGNED_PACKET, EACCES, "misaligned packet access off %d+%s+%d+%d size %d", NULL) \
	X(MIN_NEGATIVE, EACCES, \
	  "R%r min value is negative, either use unsigned index or do a if (index >=0) check.", \
	  "make the variable unsigned, or limit it: var &= constant") \
	X(MIN_OUTSIDE, EACCES, "R%r min value is outside of the allowed memory range", \
	  "compare the index with the size of the memory before the access") \
	X(MAX_OUTSIDE, EACCES, "R%r max value is outside of the allowed memory range", \
	  "compare the index with the size of the memory before the access") \
	X(UNBOUNDED, EACCES, \
	  "R%r unbounded memory access, make sure to bounds check any such access", \
	  "limit the variable before using it: compare it, or var &= constant") \
	X(ACCESS_MAP_KEY, EACCES, "invalid access to map key, key_size=%d off=%d size=%d", NULL) \
	X(ACCESS_MAP_VALUE, EACCES, "invalid access to map value, value_size=%d off=%d size=%d", \
	  "compare the offset with the size of the map's value before the access") \
	X(ACCESS_MEM, EACCES, "invalid access to memory, mem_size=%d off=%d size=%d", NULL) \
	X(ACCESS_PACKET, EACCES, \
	  "invalid access to packet, off=%d size=%d, R%r(id=%d,off=%d,r=%d)", \
	  "compare data + offset + size with data_end before the access") \
	X(OUTSIDE_PACKET, EACCES, "R%r offset is outside of the packet", \
	  "compare data + offset + size with data_end before the access") \
	X(PACKET_WRITE, EACCES, "cannot write into packet", \
	  "programs of this type may read packets, not change them") \
	X(WRITE_INTO, EACCES, "R%r cannot write into %t", NULL) \
	X(KEY_WRITE, EACCES, "write to change key R%r not allowed", NULL) \
	X(ATOMIC_INTO, EACCES, "BPF_ATOMIC stores into R%r %t is not allowed", NULL) \
	X(CTX_ACCESS, EACCES, "invalid bpf_context access off=%d size=%d", \
	  "this field does not exist for this type of program, or not with this size, or is " \
	  "read only") \
	X(CTX_UNSUPPORTED, ENOTSUP, \
	  "bpf_context field at off=%d size=%d is not supported by this build", \
	  "the file `features` lists what this build has") \
	/* the stack */ \
	X(STACK_UNBOUNDED, EACCES, "invalid unbounded variable-offset%s stack R%r", \
	  "limit the variable before using it: compare it, or var &= constant") \
	X(STACK_OFF, EACCES, "invalid%s stack R%r off=%d size=%d", \
	  "a frame has 512 bytes, below R10") \
	X(STACK_VAR_OFF, EACCES, "invalid variable-offset%s stack R%r var_off=%s off=%d size=%d", \
	  "a frame has 512 bytes, below R10") \
	X(STACK_READ, EACCES, "invalid read from stack off %d+%d size %d", \
	  "write to that part of the stack on every path before reading it") \
	X(STACK_READ_REG, EACCES, "invalid read from stack R%r off %d+%d size %d", \
	  "write to that part of the stack on every path before reading it") \
	X(STACK_READ_VAR, EACCES, "invalid read from stack R%r var_off %s+%d size %d", \
	  "write to that part of the stack on every path before reading it") \
	X(ZERO_SIZED_READ, EACCES, "invalid zero-sized read", NULL) \
	X(STACK_VAR_OFF_HELPER, EACCES, \
	  "variable offset stack pointer cannot be passed into helper function; var_off=%s " \
	  "off=%d size=%d", \
	  NULL) \
	X(STACK_VAR_STRICT, EACCES, \
	  "R%r variable offset stack access prohibited for !root, var_off=%s", \
	  "a program that is loaded strictly has no arrays with variable indices on the stack") \
	X(SPILL_CORRUPT, EACCES, "attempt to corrupt spilled pointer on stack", NULL) \
	X(SPILL_SIZE, EACCES, "invalid size of register spill", NULL) \
	X(FILL_SIZE, EACCES, "invalid size of register fill", NULL) \
	X(SPILL_STACK_PTR, EINVAL, \
	  "cannot spill pointers to stack into stack frame of the caller", \
	  NULL) \
	/* maps */ \
	X(MAP_INDEX, EINVAL, "invalid map index %d in bpf_ld_imm64 insn", NULL) \
	X(MAP_FUNC, EINVAL, "cannot pass map_type %d into func %s#%d", NULL) \
	X(MAP_RDONLY, EACCES, "write into map forbidden", \
	  "the map is read only for programs (.rodata, BPF_F_RDONLY_PROG)") \
	X(MAP_LENT_RDONLY, EACCES, \
	  "write into map forbidden: it was named by a read-only descriptor", \
	  "the map is read only for programs (.rodata, BPF_F_RDONLY_PROG)") \
	X(MAP_WRITE, EACCES, "write into map forbidden, value_size=%d off=%d size=%d", \
	  "the map is read only for programs (.rodata, BPF_F_RDONLY_PROG)") \
	X(MAP_READ, EACCES, "read from map forbidden, value_size=%d off=%d size=%d", NULL) \
	X(KEY_WITHOUT_MAP, EACCES, "invalid map_ptr to access map->key", NULL) \
	X(VALUE_WITHOUT_MAP, EACCES, "invalid map_ptr to access map->value", NULL) \
	X(VALUE_OFFSET, EINVAL, "direct value offset of %d is not allowed", NULL) \
	X(VALUE_NO_ADDRESS, EINVAL, "no direct value access support for this map type", NULL) \
	X(VALUE_ONE_ENTRY, ENOTSUP, \
	  "direct value access needs a map of one entry, this one has %d", \
	  NULL) \
	X(VALUE_ADDRESS, EINVAL, "invalid access to map value pointer, value_size=%d off=%d", \
	  "compare the offset with the size of the map's value before the access") \
	X(TWO_STORAGES, EBUSY, "only one cgroup storage of each type is allowed", NULL) \
	/* helpers and their arguments */ \
	X(HELPER_UNKNOWN, EINVAL, "invalid func %s#%d", NULL) \
	X(HELPER_TYPE, EINVAL, "program of this type cannot use helper %s#%d", \
	  "Linux does not give this helper to programs of this type") \
	X(HELPER_MISSING, ENOTSUP, "helper %s#%d is not supported by this build", \
	  "the file `features` lists what this build has") \
	X(HELPER_GPL, EINVAL, \
	  "cannot call GPL-restricted function from non-GPL compatible program", \
	  "add: char LICENSE[] SEC(\"license\") = \"GPL\";") \
	X(HELPER_RESULT, ENOTSUP, "the result of %s#%d is not supported by this build", \
	  "the file `features` lists what this build has") \
	X(HELPER_PACKET, EACCES, "helper access to the packet is not allowed", NULL) \
	X(ARG_TYPE, EACCES, "R%r type=%t expected=%s", NULL) \
	X(ARG_KIND, ENOTSUP, "R%r: this kind of helper argument is not supported by this build", \
	  "the file `features` lists what this build has") \
	X(SIZE_NEGATIVE, EACCES, \
	  "R%r min value is negative, either use unsigned or 'var &= const'", \
	  "make the variable unsigned, or limit it: var &= constant") \
	X(SIZE_ZERO, EACCES, "R%r invalid zero-sized read: u64=[%d,%d]", NULL) \
	X(SIZE_UNBOUNDED, EACCES, \
	  "R%r unbounded memory access, use 'var &= const' or 'if (var < const)'", \
	  "limit the variable before using it: compare it, or var &= constant") \
	X(ALLOC_SIZE, EACCES, "R%r is not a known constant'", NULL) \
	X(LOCAL_STORAGE_FLAGS, EINVAL, "get_local_storage() doesn't support non-zero flags", NULL) \
	X(STR_NOT_RDONLY, EACCES, "R%r does not point to a readonly map'", \
	  "the string must be a constant: static const char text[], or a literal") \
	X(STR_NOT_CONST, EACCES, "R%r is not a constant address'", \
	  "the string must be a constant: static const char text[], or a literal") \
	X(STR_NO_ADDRESS, EACCES, "no direct value access support for this map type", NULL) \
	X(STR_ADDRESS, EINVAL, "direct value access failed", NULL) \
	X(STR_UNTERMINATED, EINVAL, "string is not zero-terminated", NULL) \
	X(FORMAT_ARGS, EINVAL, "the arguments of a format are an array of u64, not %d bytes", \
	  NULL) \
	X(FORMAT, EINVAL, "Invalid format string", \
	  "see bpf_trace_printk: d i u x X c s p, and an argument for each") \
	X(TAIL_CALL_MAP, EINVAL, "expected prog array map for tail call", NULL) \
	/* functions, callbacks, exits */ \
	X(KFUNC, ENOTSUP, "kernel functions are not supported by this build (insn %d)", \
	  "the file `features` lists what this build has") \
	X(CALL_TARGET, EINVAL, "call to invalid destination", NULL) \
	X(TOO_MANY_SUBPROGS, E2BIG, "too many subprograms", NULL) \
	X(CALL_DEPTH, E2BIG, "the call stack of %d frames is too deep", "nest fewer functions") \
	X(CALL_DEPTH_TEXT, E2BIG, "the call stack of %d frames is too deep !", \
	  "nest fewer functions") \
	X(CALL_CHAINS, E2BIG, "too many chains of calls", NULL) \
	X(STACK_SIZE, EACCES, "combined stack size of %d calls is %d. Too large", \
	  "keep less on the stack: 512 bytes over all nested functions") \
	X(TAIL_CALL_STACK, EACCES, \
	  "tail_calls are not allowed when call stack of previous frames is %d bytes. Too large", \
	  "keep less on the stack: 256 bytes in the functions above one with a tail call") \
	X(TAIL_CALL_SUBPROG, EINVAL, "tail_call is not allowed in subprogs without BTF", NULL) \
	X(RETURN_STACK_PTR, EINVAL, "cannot return stack pointer to the caller", NULL) \
	X(ARG_NOT_SCALAR, EINVAL, "R%r is not a scalar", NULL) \
	X(ARG_NOT_CTX, EINVAL, "arg#%d expected pointer to ctx, but got %t", NULL) \
	X(GLOBAL_ARGS, EINVAL, "Caller passes invalid args into func#%d ('%s')", NULL) \
	X(NO_FUNC_INFO, EINVAL, "missing btf func_info", NULL) \
	X(CALLBACK_NOT_STATIC, EINVAL, "callback function not static", NULL) \
	X(CALLBACK_MAP, ENOTSUP, "callback function not allowed for map", NULL) \
	X(CALLBACK_RETURN_TYPE, EACCES, "R0 not a scalar value", NULL) \
	X(CALLBACK_RETURN, EINVAL, \
	  "At callback return the register R0 has%s should have been in [%d, %d]", \
	  NULL) \
	X(NOT_IN_CALLBACK, EINVAL, "%s is not allowed in a callback", NULL) \
	X(SUBPROG_EXIT_TYPE, EINVAL, \
	  "At subprogram exit the register R0 is not a scalar value (%t)", \
	  NULL) \
	X(EXIT_TYPE, EINVAL, "At program exit the register R0 is not a known value (%t)", \
	  "the value that this type of program may return is limited: set it on every path") \
	X(EXIT_VALUE, EINVAL, \
	  "At program exit the register R0 has%s should have been in [%d, %d]", \
	  "the value that this type of program may return is limited: set it on every path") \
	/* what is held and must be given back */ \
	X(TOO_MANY_REFERENCES, E2BIG, "more than %d objects are held at once", NULL) \
	X(TWO_REFERENCES, EACCES, "more than one arg with ref_obj_id R%r %d %d", NULL) \
	X(UNRELEASED, EINVAL, "Unreleased reference id=%d alloc_insn=%d", NULL) \
	X(LEAK, EINVAL, "%s would lead to reference leak", NULL) \
	X(RELEASE_OFFSET, EINVAL, \
	  "R%r must have zero offset when passed to release func or trusted arg to kfunc", \
	  NULL) \
	X(RELEASE_UNREFERENCED, EINVAL, "R%r must be referenced when passed to release function", \
	  NULL) \
	X(RELEASE_NOT_ACQUIRED, EINVAL, "func %s#%d reference has not been acquired before", NULL) \
	X(LOCK_PROG_TYPE, EINVAL, "%s progs cannot use bpf_spin_lock yet", NULL) \
	X(LOCK_TOUCHED, EACCES, "bpf_spin_lock cannot be accessed directly by load/store", NULL) \
	X(LOCK_TWO, EINVAL, "Locking two bpf_spin_locks are not allowed", NULL) \
	X(LOCK_VAR_OFF, EINVAL, \
	  "R%r doesn't have constant offset. bpf_spin_lock has to be at the constant offset", \
	  NULL) \
	X(LOCK_NOT_IN_MAP, EINVAL, "map '%s' has no valid bpf_spin_lock", NULL) \
	X(LOCK_NO_BTF, EINVAL, "map '%s' has to have BTF in order to use bpf_spin_lock", NULL) \
	X(LOCK_OFF, EINVAL, "off %d doesn't point to 'struct bpf_spin_lock' that is at %d", NULL) \
	X(UNLOCK_WITHOUT_LOCK, EINVAL, "bpf_spin_unlock without taking a lock", NULL) \
	X(UNLOCK_OTHER, EINVAL, "bpf_spin_unlock of different lock", NULL) \
	X(IN_LOCK, EINVAL, "%s cannot be used inside bpf_spin_lock-ed region", NULL) \
	X(CALL_IN_LOCK, EINVAL, "function calls are not allowed while holding a lock", NULL) \
	X(GLOBAL_CALL_IN_LOCK, EINVAL, \
	  "global function calls are not allowed while holding a lock,\nuse static function " \
	  "instead", \
	  NULL) \
	/* dynptrs */ \
	X(DYNPTR_VAR_OFF, EINVAL, "dynptr has to be at a constant offset", NULL) \
	X(DYNPTR_OFF, EINVAL, "cannot pass in dynptr at an offset=%d", NULL) \
	X(DYNPTR_OVERWRITE, EINVAL, "cannot overwrite referenced dynptr", NULL) \
	X(DYNPTR_WRITE, EACCES, "potential write to dynptr at off=%d disallowed", NULL) \
	X(DYNPTR_NOT_NEW, EINVAL, "Dynptr has to be an uninitialized dynptr", NULL) \
	X(DYNPTR_CONST, EINVAL, "cannot pass pointer to const bpf_dynptr, the helper mutates it", \
	  NULL) \
	X(DYNPTR_NOT_INIT, EINVAL, "Expected an initialized dynptr as arg #%d", NULL) \
	X(DYNPTR_TYPE, EINVAL, "Expected a dynptr of type %s as arg #%d", NULL) \
	X(DYNPTR_ARG, EINVAL, "arg#%d expected pointer to stack or const struct bpf_dynptr", NULL) \
	X(DYNPTR_RELEASE_CONST, EINVAL, "cannot release unowned const bpf_dynptr", NULL) \
	X(DYNPTR_NOT_ACQUIRED, EINVAL, "arg %d is an unacquired reference", NULL) \
	X(DYNPTR_FROM_MEM, EACCES, "Unsupported reg type %t for bpf_dynptr_from_mem data", NULL)
/* clang-format on */

enum bpf_reason_code {
	REASON_NONE,
#define X(code, err, wording, hint) REASON_##code,
	BPF_REASON_TABLE(X)
#undef X
		REASON_MAX,
};

/* -errno of a code; 0 for REASON_ERRNO. */
int bpf_reason_errno(enum bpf_reason_code code);
/* The sentence, as far as it fits; returns its length. */
size_t bpf_reason_text(const struct bpf_reason *reason, char *buf, size_t len);
/* What to do about it, or NULL. */
const char *bpf_reason_hint(const struct bpf_reason *reason);

/* Of a verdict: all its sentences as one, and the hint of the last that has one, or NULL. */
size_t bpf_verdict_reason(const struct bpf_verdict *verdict, char *buf, size_t len);
const char *bpf_verdict_hint(const struct bpf_verdict *verdict);

#endif
