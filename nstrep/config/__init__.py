"""The configuration: which keys there are, what is special about each, and what is allowed.

schema      the keys of an experiment, with types, help texts and properties
fields      declarations of keys, and queries about them
arguments   KEY=VALUE arguments of the commands without a composed configuration
checks      a composed configuration becomes a typed and checked one
messages    one-line explanations of errors
folder      configs/, which holds the values, and composing from it
"""
