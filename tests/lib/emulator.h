/*
 * emulator.h - tests of what an emulator of processes (qemu-user) does not do
 */
#ifndef UBPFFS_TESTS_EMULATOR_H
#define UBPFFS_TESTS_EMULATOR_H

#include <stdlib.h>

/* RUN is what run-cmocka.sh runs tests by. */
#define UNDER_EMULATOR() (getenv("RUN") && *getenv("RUN"))

/* cmocka.h is included before. */
#define NOT_UNDER_EMULATOR(what)                                                   \
	do {                                                                       \
		if (UNDER_EMULATOR()) {                                            \
			print_message("%s does not do %s\n", getenv("RUN"), what); \
			skip();                                                    \
		}                                                                  \
	} while (0)

#endif
