"""What has nothing to do with style transfer: errors, files, text, processes and the environment.

Nothing here imports another package of nstrep.
"""
