"""The schema of an experiment: every key, its type, its range and what is special about it.

The values live in configs/; this package checks them and explains what is wrong.
"""
