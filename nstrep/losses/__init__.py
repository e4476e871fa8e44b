"""Loss terms, and the objective over them, computed whole or in tiles.

``term`` is the protocol for terms, the registry of their kinds, and the check of their settings;
``content``, ``style`` (with ``regions``) and ``total_variation`` are kinds. ``objective`` is the
weighted sum; ``tiling`` has what terms are made from, and computes their statistics in tiles.
"""
