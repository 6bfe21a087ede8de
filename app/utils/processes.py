"""What processes ask of the system: to end with the one that started them, and to share heaps among their threads."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

# From linux/prctl.h.
PR_SET_PDEATHSIG: Final = 1
# From glibc's malloc.h.
M_ARENA_MAX: Final = -8

# Heaps that the threads of a process share. glibc makes eight for each core, and what is freed in one is of no use in
# another: some 40 MB of a service that has indexed large documents.
HEAPS: Final = 2


def die_with(parent: int) -> None:
    """Have the system kill this process when the thread that started it ends; elsewhere than on Linux nothing does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def share_heaps() -> None:
    """Have the threads of this process, however many, share a few heaps; elsewhere than with glibc nothing changes."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(M_ARENA_MAX, HEAPS)
