"""A bank that works on every run but one: two threads take its two locks in opposite order.

`witness run bank.py` tells it in a run in which nothing blocked. Here the threads run one after the other.
"""

import threading

accounts = threading.Lock()
ledger = threading.Lock()


def transfer() -> None:
    """Money moves, then it is written down."""
    with accounts, ledger:
        print("moved")


def close_day() -> None:
    """The ledger is closed, then its interest is paid."""
    with ledger, accounts:
        print("closed")


for work in (transfer, close_day):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
