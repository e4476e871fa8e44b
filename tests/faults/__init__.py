"""Faults on purpose: real commands that are killed, starved of disk, doubled, driven to NaN.

``python -m tests.faults`` runs all of it, ``--short`` a minute's worth; docs/reliability.md has
what was found.
"""
