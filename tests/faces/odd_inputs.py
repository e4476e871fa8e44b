"""Odd inputs as a user types them, and what each gives: a picture, or one plain line.

Each row is a command line, its exit code, and a regular expression that its output contains. In
a line ``$S`` stands for SMALL. The lines of REFUSED need no shell; those of PROCESSES do.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image

SMALL = "style=swirls model=vgg19_slim max_long_edge=32 max_num_epochs=1"

PICTURE = r"1 epoch in \d+ s, .*final\.png"

REFUSED = [
    # commands
    ("nstrep runn", 2, r"did you mean run\?"),
    ("nstrep ''", 2, "'': must be one of run, "),
    ("nstrep -x run", 2, "-x: must be one of run, "),
    # words that are no settings
    ("nstrep run run", 2, "run: must be KEY=VALUE"),
    ("nstrep run -", 2, "-: must be KEY=VALUE"),
    ("nstrep run ''", 2, "'': must be KEY=VALUE"),
    ("nstrep run =5", 2, "must be GROUP=OPTION"),
    ("nstrep run content_weight==5", 2, "quote it twice"),
    ("nstrep run @args.txt", 2, "@args.txt: must be KEY=VALUE"),
    ("nstrep run recipe=null", 2, "must be GROUP=OPTION"),
    ("nstrep run recipe=Gatys", 2, "recipe=Gatys: must be one of .*gatys2015"),
    ("nstrep run model=VGG19", 2, "model=VGG19: must be one of .*vgg19"),
    ("nstrep run +content_weight=5", 2, "already at 'content_weight'"),
    ("nstrep run +content=coffee", 2, "Multiple values for content"),
    ("nstrep run content@foo=chelsea", 2, "content@foo: there is no such key"),
    ("nstrep run ~max_long_edge", 2, "max_long_edge: no value is given"),
    ("nstrep run ~content", 2, "content: no value is given"),
    # options of Hydra
    ("nstrep run --config-name=nope", 2, "Cannot find primary config 'nope'"),
    ("nstrep run --config-dir=nope", 2, "not found"),
    ("nstrep run --cfg nope", 2, "invalid choice: 'nope'"),
    ("nstrep run --package", 2, "expected one argument"),
    ("nstrep run --cfg job --package nope", 1, "'nope' not found"),
    ("nstrep run hydra.mode=nope", 2, "hydra.mode: invalid value nope"),
    ("nstrep run hydra.job_logging.root.level=NOPE", 2, "must be settings of logging"),
    ("nstrep run hydra/job_logging=nope", 2, "hydra/job_logging=nope: must be one of"),
    # numbers
    ("nstrep run max_long_edge=-5", 2, "max_long_edge=-5: must be at least 1"),
    ("nstrep run max_long_edge=1e3", 2, "must be a whole number"),
    ("nstrep run max_long_edge=0x40", 2, "max_long_edge=0x40: must be a whole number"),
    ("nstrep run max_long_edge=48px", 2, "max_long_edge=48px: must be a whole number"),
    ("nstrep run max_long_edge=", 2, "must be a whole number"),
    ("nstrep run content_weight=1/3", 2, "content_weight=1/3: must be a number"),
    ("nstrep run content_weight=٣x", 2, "content_weight=٣x: "),
    ("nstrep run content_weight=true", 2, "content_weight=True: must be a number"),
    ("nstrep run content_weight=0 style_weight=0 tv_weight=0", 2, "nothing to do"),
    ("nstrep run seed=1.5", 2, "seed=1.5: must be a whole number"),
    ("nstrep run stop_eps=nan", 2, "stop_eps=nan: must be a finite number"),
    ("nstrep run optimizer=adam lr=inf", 2, "lr=inf: must be a finite number"),
    ("nstrep run style_scale=1e9", 2, "style_scale=1000000000: must be at most 10"),
    ("nstrep run max_num_epochs=1e99", 2, "must be a whole number"),
    ("nstrep run tile=-3", 2, "tile=-3: must be auto, null or a whole number"),
    # lists
    ("nstrep run color=[style,histogram]", 2, "color: cannot convert list"),
    ("nstrep run scales=[32,16,48]", 2, "each larger than the one before"),
    ("nstrep run scales=[48,48]", 2, "each larger than the one before"),
    ("nstrep run styles=photo.png", 2, "styles: must be a list"),
    ("nstrep run content_image=[photo.png]", 2, "content_image: cannot convert list"),
    ("nstrep run content_image={a:1}", 2, "content_image: cannot convert dict"),
    # interpolations and sweeps
    ("nstrep run 'content_image=${oc.env:NOPE}'", 2, "content_image: .*cannot be resolved"),
    ("nstrep run 'content_weight=${seed}${'", 2, "cannot be read as KEY=VALUE"),
    ("nstrep run scales=auto,sqrt2", 2, "scales=auto,sqrt2: several values need --multirun"),
    ("nstrep run --multirun 'seed=range(0,5,0)'", 2, "STEP must not be 0"),
    ("nstrep run --multirun 'seed=range(5,0)'", 2, "seed: no value is given"),
    ("nstrep run --multirun 'style=glob(nope*)'", 2, "style: no value is given"),
    ("nstrep run --multirun 'seed=choice()'", 2, "cannot be read as KEY=VALUE"),
    ("nstrep run --multirun 'content_weight=sort(1,a)'", 2, "cannot be read as KEY=VALUE"),
    ("nstrep run --multirun seed=1,2 hydra.sweep.dir=photo.png", 4, "photo.png: cannot be written"),
    # folders
    ("nstrep run hydra.run.dir=photo.png", 4, "photo.png: cannot be written"),
    ("nstrep run hydra.run.dir=photo.png/below", 4, "cannot be written"),
    ("nstrep run hydra.run.dir=/dev/null", 4, "/dev/null: cannot be written"),
    ("nstrep run hydra.run.dir=", 2, "holds other files than results"),
    ("nstrep run resume=true hydra.run.dir=broken", 2, "broken"),
    ("nstrep run resume=maybe", 2, "resume=maybe: must be true or false"),
    ("nstrep run from_image=photo.png", 2, "holds no nstrep configuration"),
    ("nstrep run from_image=folder", 2, "from_image=folder: found a folder"),
    # training
    ("nstrep train steps=0", 2, "steps=0: must be at least 1"),
    ("nstrep train data.dir=photo.png", 2, "data.dir=photo.png: is not a folder"),
    ("nstrep train data.size=7", 2, "data.size=7: must be at least 16"),
    ("nstrep train styles=[swirls,swirls]", 2, "styles: swirls is named twice"),
    ("nstrep train fast/net=nope", 2, "fast/net=nope: must be one of"),
    ("nstrep train content_image=photo.png", 2, "content_image: there is no such key"),
    # trained networks
    ("nstrep stylize style=nope image=photo.png", 2, "'nope' must be one or more of swirls"),
    ("nstrep stylize style=swirls 'image=nope*.jpg'", 2, "there is no such picture, folder"),
    ("nstrep stylize style=swirls image=", 2, "image=: no value is given"),
    ("nstrep stylize style=swirls image=folder", 2, "image=folder: holds no picture"),
    ("nstrep stylize style=swirls image=text.png", 2, "found no picture that can be read"),
    ("nstrep stylize style=swirls image=photo.png strength=nan", 2, "must be a finite number"),
    ("nstrep stylize style=swirls image=photo.png long_edge=-3", 2, "must be at least 0"),
    ("nstrep stylize style=swirls:0,surf:0 image=photo.png", 2, "not all with 0"),
    ("nstrep stylize style=swirls:x image=photo.png", 2, "the weight 'x' must be a number"),
    ("nstrep stylize style=swirls:1e400,surf:1 image=photo.png", 2, "style=swirls:1e400"),
    ("nstrep stylize style=, image=photo.png", 2, "style=,: "),
    ("nstrep stylize model=photo.png image=photo.png", 2, "is no weights file"),
    ("nstrep stylize style=swirls image=photo.png out=photo.png", 2, "is one of the pictures"),
    ("nstrep stylize style=swirls image=photo.png --out=x.png", 2, r"did you mean out\?"),
    ("nstrep export model=folder out=x.txt", 2, "must be WIDTHxHEIGHT"),
    ("nstrep export model=folder out=x.onnx size=big", 2, "size=big: must be WIDTHxHEIGHT"),
    # claims
    ("nstrep replicate claims=[nope]", 2, "claims=nope: must be all or some of"),
    ("nstrep replicate claims=[]", 2, r"claims=\[\]: must be all or name"),
    ("nstrep replicate scale=huge", 2, "scale=huge: must be one of paper, quick, smoke"),
    ("nstrep replicate folder=photo.png", 4, "photo.png: cannot be written"),
    # folders of runs
    ("nstrep report photo.png", 2, "photo.png: there is no such folder"),
    ("nstrep report broken", 0, "report.html: 1 run"),
    ("nstrep report broken extra", 2, "unrecognized arguments: extra"),
    ("nstrep collect loop.png", 2, "loop.png: there is no such folder"),
    ("nstrep collect broken", 0, "1 unfinished"),
    ("nstrep plot broken", 2, "no run has a picture"),
    ("nstrep plot broken pie", 2, "pie: must be one of curves"),
    ("nstrep denoise broken --tv nan", 2, "name a filter with strengths"),
    ("nstrep denoise broken --gaussian abc", 2, "invalid float value: 'abc'"),
    ("nstrep denoise broken --tv 1", 2, "is not the raw result of a run"),
    ("nstrep assets ../x", 2, "there is no asset '../x'"),
    ("nstrep assets --list --all", 2, "not allowed with"),
]
"""Lines that end before an image is optimised."""

PROCESSES = [
    # pictures
    ("nstrep run $S content_image=text.png", 2, "found no picture that can be read"),
    ("nstrep run $S content_image=empty.png", 2, "found an empty file"),
    ("nstrep run $S content_image=cut.png", 2, "found a damaged or unsupported file"),
    ("nstrep run $S content_image=tall.png", 2, "needs a picture of at least 16 x 16"),
    ("nstrep run $S content_image=dot.png", 0, PICTURE),
    ("nstrep run $S content_image=pipe", 2, "found a device, pipe or socket"),
    ("nstrep run $S content_image=loop.png", 2, "Too many levels of symbolic links"),
    ("nstrep run $S style_layers=[relu1_1,relu1_1]", 2, "style_layers"),
    ("nstrep run $S optimizer=[adam,lbfgs] max_num_epochs=99999999999999999999", 0, "final.png"),
    # environment
    ("TZ=garbage nstrep run $S", 0, PICTURE),
    ("TERM=nonsense COLUMNS=abc nstrep run $S", 0, PICTURE),
    ("COLUMNS=0 LINES=-1 nstrep run $S", 0, PICTURE),
    ("MPLCONFIGDIR=/nonexistent/x HOME=/nonexistent nstrep run $S", 0, PICTURE),
    ("TMPDIR=/nonexistent nstrep run $S", 0, PICTURE),
    ("PYTHONIOENCODING=ascii:strict LC_ALL=C nstrep run $S content_image=中.png", 0, PICTURE),
    ("MXNET_ENGINE_TYPE=Nonsense nstrep run $S", 1, "MXNET_ENGINE_TYPE=Nonsense: must be one of"),
    ("MXNET_CPU_WORKER_NTHREADS=abc nstrep run $S", 1, "NTHREADS=abc: must be a whole number"),
    ("MXNET_CPU_PRIORITY_NTHREADS=-1 nstrep run $S", 1, "NTHREADS=-1: must be a whole number"),
    ("MXNET_ENGINE_TYPE=NaiveEngine MXNET_CPU_WORKER_NTHREADS=2 nstrep run $S", 0, PICTURE),
    ("(ulimit -n 16; nstrep run $S)", 0, PICTURE),
    ("(ulimit -f 2; nstrep run $S)", 4, "cannot be used .File too large"),
    (
        "https_proxy=http://127.0.0.1:9 NSTREP_MIRROR=/nowhere NSTREP_HOME=$PWD"
        " nstrep assets IMG_4343.jpg", 2, "could not be fetched",
    ),
    # terminals and pipes
    ("nstrep run $S <&- >&- 2>&-", 0, "^$"),
    ("nstrep stylize style=swirls image=- out=x.png < text.png", 2, "found no picture"),
    ("nstrep stylize style=swirls image=- out=x.png < /dev/null", 2, "found"),
    ("nstrep stylize style=swirls image=- out=- < photo.png | head -c 4 | tail -c 3", 0, "PNG"),
    ("nstrep stylize style=all image=dot.png out=x.png long_edge=16", 0, "x.png"),
    ("nstrep run --help | head -1", 0, "usage: nstrep run"),
    # sweeps
    ("nstrep run $S --multirun seed=1,1.5", 2, "seed=1.5: must be a whole number"),
    ("nstrep run $S --multirun resume=true style_weight=1,2", 0, "2 runs"),
    # two processes
    (
        "nstrep run $S hydra.run.dir=both & nstrep run $S hydra.run.dir=both; wait",
        None, PICTURE,
    ),
    ("nstrep collect broken & nstrep report broken; wait", None, "report.html: 1 run"),
]  # fmt: skip
"""Lines for a shell. None: either exit code is right, since two processes race."""


def write_files(folder: Path) -> None:
    """Write what the lines name into an empty folder."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    for name in ("photo.png", "中.png"):
        Image.fromarray(pixels).save(folder / name)
    Image.new("RGB", (1, 9000)).save(folder / "tall.png")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    (folder / "text.png").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:300])
    os.mkfifo(folder / "pipe")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "folder").mkdir()
    (folder / "broken/run").mkdir(parents=True)
    (folder / "broken/run/metrics.json").write_text("null")
    (folder / "broken/run/config.yaml").write_text("{")
