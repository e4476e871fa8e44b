"""Images as arrays: reading, writing, resizing, colour, filters and texture measures.

An image is an array of shape (H, W, 3), float32 or float64, RGB from 0 to 1 (``rgb01``). Nothing
here knows a configuration or a network.
"""

INTERPOLATIONS = ("lanczos", "bicubic", "bilinear", "skimage")  # methods of io.resize_to
