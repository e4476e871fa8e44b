"""Sweeps: many runs of one command, named, tracked and resumed through Hydra."""
