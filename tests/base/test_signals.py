"""SIGTERM is Ctrl-C with another exit code."""

import signal

import pytest

from nstrep.base.signals import Terminated, exit_code, sigterm_interrupts


def test_sigterm_interrupts_once_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_interrupts():
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # repeated, as by timeout: does not break saving
    assert signal.getsignal(signal.SIGTERM) == before


def test_exit_codes():
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(Terminated()) == 143
