"""General utilities: errors, files, text, processes and the environment.

Nothing here imports another package of nstrep.
"""
