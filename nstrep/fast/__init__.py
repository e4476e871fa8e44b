"""Feed-forward style transfer (Johnson, Alahi, Fei-Fei 2016): one network trained for each style.

architectures (a table), network and tiles make a network; layouts reads and writes its parameters;
data and training train it, from the command line by train; stylize, export and one_pass apply it.
"""
