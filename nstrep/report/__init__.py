"""One HTML file that shows a folder's runs: no network, no other files, no server."""

from nstrep.report.page import render, write

__all__ = ["render", "write"]
