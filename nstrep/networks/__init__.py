"""VGG networks: architectures, weights, features and Gram matrices.

``vgg`` is the table of layers, ``weights`` reads weights files, ``features`` puts a network on a
device, and ``gram`` holds the Gram matrix. ``vgg19_slim.npz`` is the network in the package.
"""
