"""Becomes another program that ends when the process that started it ends, whatever ended that one.

Run as a script, by `child.spawn`: `launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT...]`. It stands between the hub
and the server only until it becomes the server, so the server has the process id that the hub was given. A hook in
the forked hub (`preexec_fn`) would do the same, but isn't safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, uid: int, gid: int, program: list[str]) -> None:
    """Drop to `uid`:`gid` (unless negative), ask for `death_signal` at the parent's end, become `program`."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user: the kernel forgets the request when the user changes.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        signal.raise_signal(signal.SIGKILL)
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    _parent, _death_signal, _uid, _gid = map(int, sys.argv[1:5])
    main(_parent, _death_signal, _uid, _gid, sys.argv[5:])
