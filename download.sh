#!/bin/sh
# Fetch VGG-19 and the two pictures of MXNet's example, or what is named: ./download.sh --list
cd "$(dirname "$0")" && exec "${PYTHON:-python3}" -m nstrep.assets "$@"
