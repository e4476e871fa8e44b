"""The published claims: what to run for each, what to measure, and how the verdict is computed.

A claim is a file in configs/claim/; no number of it is in the code. The steps are

    schema.py      the contents of such a file
    plan.py        which runs it needs, at which scale, and how they are computed or read back
    quantities.py  from a run to a number
    statistics.py  from the numbers of several runs to the one that a rule judges
    verdicts.py    from that number to replicated, not replicated or inconclusive
    figures.py, report.py   the results for readers
"""
