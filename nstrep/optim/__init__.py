"""Minimising the objective: the loop, the optimisers and the coordinates they work in."""
