"""Faults injected into real runs and files; each module is a command of its own."""
