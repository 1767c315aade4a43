"""The program ``hub``: Ctrl-C ends it in silence even while it is being loaded."""

INTERRUPTED = 130


def main() -> int:
    """Run what the command line says; the answer is the process's exit code."""
    try:
        from hub.runtime.cli import main as run
    except KeyboardInterrupt:
        return INTERRUPTED
    return run()
