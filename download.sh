#!/bin/sh
# Download VGG-19 and the two pictures of MXNet's example, or the files that are named
# (bash download.sh --list shows them). COCO's photographs: bash download.sh train2014
cd "$(dirname "$0")" || exit
if [ "$1" = train2014 ]; then # for nstrep.fast.train: 13.5 GB, and the same again unpacked
    mkdir -p inputs && cd inputs || exit
    curl -fL -C - -O http://images.cocodataset.org/zips/train2014.zip || exit
    echo "0da8c0bd3d6becc4dcb32757491aca88  train2014.zip" | md5sum -c || exit
    unzip -nq train2014.zip && echo "data.dir=inputs/train2014"
    exit
fi
if [ -x .venv/bin/python ]; then PYTHON=${PYTHON:-.venv/bin/python}; fi
exec "${PYTHON:-python3}" -m nstrep.assets "$@"
