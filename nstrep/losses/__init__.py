"""Loss terms, and the objective over them, computed whole or in tiles.

``term`` is the protocol for terms and the registry of their kinds; ``content``, ``style`` (with
``regions``) and ``total_variation`` are kinds, ``extra`` checks the settings of further ones.
``objective`` is the weighted sum, ``scene`` what terms are made from, ``tiling`` cuts an image into
tiles, and ``tile_graph`` computes the terms' statistics over a tile.
"""
