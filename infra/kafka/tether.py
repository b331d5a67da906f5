"""Runs a program that dies with its parent: `python -I -S tether.py PARENT_PID PROGRAM ARGS...`.

The process becomes the program (exec), so its pid, signals and exit code are the program's own.
Linux sends the signal (PR_SET_PDEATHSIG) when the *thread* that started the child ends, so start
children from a thread that lives as long as they should (node.py does). Elsewhere nothing is sent,
and the parent must end its children itself. A script of its own because code between fork and exec
is not safe in a process with threads, which every Kafka client has. It imports nothing of ours.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def command(program: list[str]) -> list[str]:
    """The argument list that starts `program` so that it dies (SIGKILL) with this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *program]


def die_with(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent ends; exits if it has ended already."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) refused")
    if os.getppid() != parent_pid:
        sys.exit(f"parent {parent_pid} ended before its child began")


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program is the caller's
