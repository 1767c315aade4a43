"""The simulated books in a process of their own: ``python -m bench.books ROWS``.

SIGUSR1 takes them away (nobody listens, every connection breaks), SIGUSR2 brings them back, SIGTERM ends them.
"""

import signal
import sys

from connectors.hesabgar.simulator import HesabgarSimulator

AWAY, BACK, END = signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM
LISTENS = "listening on"


def main() -> None:
    """Run until told to end."""
    signals = {AWAY, BACK, END}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with HesabgarSimulator(stock_rows=int(sys.argv[1])) as simulator:
        print(LISTENS, simulator.port, flush=True)
        while (number := signal.sigwait(signals)) != END:
            if number == AWAY:
                simulator.away()
            else:
                simulator.back()


if __name__ == "__main__":
    main()
