"""VGG networks: architectures, weights and features.

``vgg`` is the table of layers, ``weights`` reads weights files, and ``features`` puts a network on
a device. ``vgg19_slim.npz`` is the network in the package.
"""
