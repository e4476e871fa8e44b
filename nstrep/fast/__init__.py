"""Feed-forward style transfer (Johnson, Alahi, Fei-Fei 2016): networks trained for styles.

architectures (a table), convolutions, graph and symbols make a network's graph; network and tiles
run it with MXNet, native with MXNet's C library alone; layouts reads and writes its parameters.
data, trainer and training train it, from the command line by train. styles is the network in this
package; stylize and results apply it to files, api from Python; export and one_pass use it too.
"""
