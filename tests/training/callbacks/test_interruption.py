"""Signals in a training: only the main thread may take them."""

import signal
import threading

from lightning_voiceclone.training.callbacks.run import ENDING, Interruption


def handlers():
    return [signal.getsignal(number) for number in ENDING]


def test_the_main_thread_takes_the_signals_and_gives_them_back():
    before, one = handlers(), Interruption()
    one.on_train_start(None, None)
    try:
        assert signal.getsignal(signal.SIGINT) == one._note
    finally:
        one.on_fit_end(None, None)
    assert handlers() == before


def test_another_thread_leaves_them_alone():
    """As the workers of Ray train."""
    before, failed = handlers(), []

    def train():
        try:
            one = Interruption()
            one.on_train_start(None, None)
            one.on_fit_end(None, None)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert not failed
    assert handlers() == before
