"""
rounds.py - what fuzzers of a whole server share: rounds on servers of their own, until the time is over

A round's seed is the one before and one. A finding is printed with its seed, and ends all.
"""
import argparse
import os
import shutil
import time

from conftest import make_mount


def run(name, fuzz, shortest, longest, uid=lambda seed: None):
    """fuzz(mount, seed, seconds, calls) gives None or what is wrong; uid(seed): whose server (None: ours). The exit status."""
    args = argparse.ArgumentParser()
    args.add_argument("-seconds", type=int, default=60)
    args.add_argument("-seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    args.add_argument("-calls", type=int, default=0)
    args = args.parse_args()
    end, seed = time.monotonic() + args.seconds, args.seed
    while True:
        print("%s: -seed %d" % (name, seed), flush=True)
        m, dirs = make_mount("tmpfs", uid(seed))
        m.expect("cannot|could not|kept|broken|error")
        m.options.append("keeper=off")  # what ends a server is a finding
        problem = None
        try:
            m.start()
            problem = fuzz(m, seed, max(shortest, min(longest, end - time.monotonic())), args.calls)
        finally:
            try:
                m.end()
            except AssertionError as e:
                problem = problem or str(e)
            for d in dirs:
                shutil.rmtree(d, ignore_errors=True)
        if problem:
            print("%s: -seed %d: %s" % (name, seed, problem))
            return 1
        seed += 1
        if time.monotonic() + shortest > end or args.calls:
            return 0
