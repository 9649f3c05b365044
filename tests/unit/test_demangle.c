/*
 * Names of C++ and Rust become what their authors wrote; all others stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <string.h>
#include "fs/agent/service/stack/demangle.h"

static const struct {
	const char *mangled, *want;
} names[] = {
	{"main", "main"},
	{"_start", "_start"},
	{"", ""},
	{"_Z", "_Z"},
	{"_Znwm", "operator new(unsigned long)"},
	{"_ZN12_GLOBAL__N_14deep6HolderImE3addEi",
	 "(anonymous namespace)::deep::Holder<unsigned long>::add(int)"},
	{"_ZNK3VecltERKS_", "Vec::operator<(Vec const&) const"},
	{"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const"},
	/* Rust */
	{"_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"},
	{"_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
	 "<alloc::string::String as core::fmt::Debug>::fmt"},
	{"_ZN4core3ops8function6FnOnce40call_once$u7b$$u7b$vtable.shim$u7d$$u7d$"
	 "17h0123456789abcdefE",
	 "core::ops::function::FnOnce::call_once{{vtable.shim}}"},
	/* no hash: C++ */
	{"_ZN4core3fmt5write17h0123456789abcdegE", "core::fmt::write::h0123456789abcdeg"},
	{"_ZN3fooE_not_one", "_ZN3fooE_not_one"},
};

static void readable_names(void **state)
{
	if (!dlopen("libstdc++.so.6", RTLD_NOW)) {
		print_message("there is no C++ library here\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(demangle(names[i].mangled), names[i].want);
}

static void long_names(void **state)
{
	char name[3000] = "_ZN";

	while (strlen(name) < 2990)
		strcat(name, "1a");
	strcat(name, "Ev");
	assert_ptr_equal(demangle(name), name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readable_names),
		cmocka_unit_test(long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
