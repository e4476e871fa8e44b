"""Feed-forward style transfer (Johnson, Alahi, Fei-Fei 2016): a network trained once per style.

The modules are

nets.py      the architectures, as a table
graph.py     from a row of the table to an MXNet symbol
layouts.py   parameters in files: this project's and those that others publish
network.py   a network with its parameters: pictures in, pictures out
tiles.py     the same, layer by layer over tiles, for pictures of any size
data.py      the pictures that it is trained on
training.py, train.py     training, and its command line
passes.py   one pass in the place of an experiment's optimisation
stylize.py, export.py     what a trained network is for
"""
