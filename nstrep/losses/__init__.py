"""The objective: loss terms, and their sum over an image computed whole or in tiles."""
