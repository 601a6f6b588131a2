"""Run a program and write what the kernel counted for it, as JSON, to a file descriptor.

    python -I -S benchmarks/launch.py FD PROGRAM [ARGUMENT...]

A child's memory peak begins with that of the process that starts it, so whoever measures small programs must be small
itself: this one imports next to nothing. What it takes to start is not counted.
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    """Start it, wait, report."""
    report, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(report, False)
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, setsigdef=[signal.SIGPIPE])
    _, state, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    counted = {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        "status": os.waitstatus_to_exitcode(state),
    }
    os.write(report, json.dumps(counted).encode())


main()
