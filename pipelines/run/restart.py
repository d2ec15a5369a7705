"""Restart a command once when a crash inside a library, such as a segmentation fault, ends its process."""

import os
import signal
import sys
import threading

# Signals that a fault of a library sends to its own process. A person, or a system without memory, sends others.
CRASHES = {
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")
    if hasattr(signal, name)
}
EXIT_INTERRUPTED = 130


def restart_after_crash(command) -> int:
    """Return the exit status of ``command()``, run in a child process that is restarted once after a crash.

    Call it before a framework is loaded: this process stays small and waits. The child ends with it. Where a process
    cannot be forked (Windows), the command runs in this process, without a restart.

    Args:
        command: Function that returns an exit status. Called again, it resumes its work.

    Returns:
        The status of the last attempt: 128 plus the number of the signal that ended it, 130 after Ctrl-C.
    """
    if not hasattr(os, "fork"):
        return command()
    for is_last in (False, True):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(writer)
            threading.Thread(target=_end_with_parent, args=(reader,), daemon=True).start()
            return command()
        os.close(reader)
        status, interrupted = _wait(child)
        os.close(writer)
        if interrupted and status < 0:
            return EXIT_INTERRUPTED
        if status >= 0:
            return status
        if is_last or not is_crash(status):
            break
        warn_of_restart(status)
    return 128 - status


def is_crash(status) -> bool:
    """Whether an exit status, below 0 for a signal, is that of a crash inside a library."""
    return -status in CRASHES


def warn_of_restart(status):
    """Print that a crash with this exit status is followed by a restart."""
    name = signal.Signals(-status).name
    print(f"warning: crash inside a library ({name}). Restarting once from the last saved state", file=sys.stderr)


def _wait(child):
    """Return the exit status of a child, below 0 for a signal, and whether Ctrl-C was pressed meanwhile."""
    interrupts = []
    previous = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))  # the child gets it, too, and ends
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), bool(interrupts)
    finally:
        signal.signal(signal.SIGINT, previous)


def _end_with_parent(reader):
    os.read(reader, 1)  # returns when the other end is closed, by SIGKILL as well
    os._exit(1)
