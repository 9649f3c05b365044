/*
 * watchdog.h - ends a test program that hangs: a lost wake-up is a failure with a message, not an
 * endless run
 *
 * Linked into every test program; it begins before main(). What counts is work, not the clock: a
 * process that uses no processor time through two looks, a minute apart, waits for what never
 * comes, however busy the machine is.
 */
#ifndef UBPFFS_TESTS_WATCHDOG_H
#define UBPFFS_TESTS_WATCHDOG_H

/* Look every so many milliseconds instead; 0: never. */
void watchdog_every(long ms);

#endif
