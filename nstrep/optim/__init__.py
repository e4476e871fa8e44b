"""Minimising the objective: the loop, the optimisers and the coordinates that they work in."""
