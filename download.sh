#!/bin/sh
# Fetch VGG-19 and the two pictures of MXNet's example, or what is named: bash download.sh --list
cd "$(dirname "$0")" || exit
if [ -x .venv/bin/python ]; then PYTHON=${PYTHON:-.venv/bin/python}; fi
exec "${PYTHON:-python3}" -m nstrep.assets "$@"
