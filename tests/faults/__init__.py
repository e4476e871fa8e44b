"""Injected faults: real commands that are killed, out of disk space, run twice, or driven to NaN.

``python -m tests.faults`` injects all faults, ``--short`` some of them in about a minute. The
results are in docs/reliability.md.
"""
