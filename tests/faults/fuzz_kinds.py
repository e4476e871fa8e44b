"""The kinds of input of the fuzz: for each, a function that makes a case and one that uses it.

A case is written to the current folder, which is its own. It is used by the functions that the
program calls for such a file; they return a word for a result, or raise.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.faults import fuzz_mutate as mutate
from tests.faults import fuzz_seeds as seeds

TOOLS = ("report", "report", "collect", "load", "plot", "plot")
PLOTS = ("curves", "final", "grid", "tradeoff", "cost", "denoise")


class Wrong(AssertionError):
    """The program did what it must not do."""


@dataclass
class Bench:
    """Shared by the cases of one worker."""

    folder: Path
    """The seed files."""
    root: Path
    """The checkout."""
    allowed_mb: float = 0.0
    """Further memory that the current case may take, for the pixels that it really has."""
    _cache: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def files(self, name: str, like: str = "") -> dict[str, bytes]:
        """Seed files of a folder whose names start with ``like``."""
        if name not in self._cache:
            paths = sorted((self.folder / name).iterdir())
            self._cache[name] = {path.name: path.read_bytes() for path in paths}
        return {key: data for key, data in self._cache[name].items() if key.startswith(like)}

    def allow(self, rgb: np.ndarray) -> None:
        """Allow an image its memory: a GIF of 1 kB may have a canvas of 100 megapixels."""
        self.allowed_mb = 32 * rgb.shape[0] * rgb.shape[1] / 2**20

    @cached_property
    def overrides(self) -> list[list[str]]:
        return json.loads((self.folder / "overrides.json").read_text())

    @cached_property
    def training(self) -> Any:
        """The training that reads the checkpoints."""
        from nstrep.fast import config
        from nstrep.fast.training import Trainer

        with seeds.configurations() as compose:
            composed = compose("fast", list(seeds.training_overrides(self.folder)))
            return Trainer(config.check(composed))

    @cached_property
    def run(self) -> Any:
        """The experiment that reads the checkpoints."""
        from nstrep.config.checks import check

        with seeds.configurations() as compose:
            return check(compose("config", list(seeds.run_overrides(self.folder))))


@dataclass(frozen=True)
class Kind:
    name: str
    share: int
    """Share of 1000 cases."""
    make: Callable[[Bench, random.Random, int], Any]
    """Writes the files of a case and returns the argument of ``use``."""
    use: Callable[[Bench, Any], str]


def damaged(bench: Bench, rng: random.Random, folder: str, like: str = "") -> Path:
    files = bench.files(folder, like)
    name = rng.choice(sorted(files))
    path = Path(f"{name}.bin")
    path.write_bytes(mutate.mutated(files[name], rng, list(files.values())))
    return path


# --- pictures --------------------------------------------------------------------------------


def make_picture(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged image, one with a wrong size in its header, a bomb, or no file at all."""
    if rng.random() < 0.85:
        return damaged(bench, rng, "pictures")
    path = Path("picture.bin")
    special = rng.choice((lying_png, lying_png, lying_other, texts_png, odd_file))
    special(path, bench, rng)
    return path


def lying_png(path: Path, bench: Bench, rng: random.Random) -> None:
    """A PNG whose header and data have different sizes."""
    sides = (0, 1, 20, 9000, 9999, 10_001, 65_535, 2**31 - 1, 2**32 - 1)
    header = struct.pack(
        ">IIBBBBB", rng.choice(sides), rng.choice(sides), rng.choice((1, 2, 4, 8, 16)),
        rng.choice((0, 2, 3, 4, 6)), 0, 0, rng.choice((0, 0, 1)),
    )  # fmt: skip
    pixels = zlib.compress(bytes(rng.choice((0, 100, 20_000_000))))
    parts = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    if rng.random() < 0.3:
        parts.insert(1, (b"iCCP", b"x\0\0" + zlib.compress(bytes(60_000_000))))
    if rng.random() < 0.3:
        parts.insert(1, (b"eXIf", b"MM\0*" + rng.randbytes(400)))
    path.write_bytes(mutate.png_of(parts))


def lying_other(path: Path, bench: Bench, rng: random.Random) -> None:
    """A BMP, GIF or TIFF with another size in its header."""
    files = bench.files("pictures")
    name = rng.choice([name for name in files if name.startswith(("bmp", "gif", "tiff"))])
    data = bytearray(files[name])
    if name.startswith("bmp"):
        struct.pack_into("<ii", data, 18, *(rng.choice((-1, 0, 9999, 2**31 - 1)) for _ in "xy"))
    elif name.startswith("gif"):
        struct.pack_into("<HH", data, 6, *(rng.choice((0, 1, 9999, 65_535)) for _ in "xy"))
    else:
        (start,) = struct.unpack_from("<I", data, 4)
        for tag in range(struct.unpack_from("<H", data, start)[0]):
            at = start + 2 + 12 * tag
            if rng.random() < 0.3:
                struct.pack_into("<I", data, at + 8, rng.choice(mutate.EXTREMES[:-1]))
    path.write_bytes(bytes(data))


def texts_png(path: Path, bench: Bench, rng: random.Random) -> None:
    """A PNG with text chunks that are huge, many or unknown."""
    parts = mutate.chunks(bench.files("pictures")["png_alpha"])
    count = rng.choice((1, 3, 200))
    for _ in range(count):
        size = rng.choice((0, 10, 10_000, 3_000_000 if count < 200 else 50_000))
        key = rng.choice((b"nstrep.config", b"", b"x" * 200, b"\xff"))
        body = {
            b"tEXt": key + b"\0" + b"a" * size,
            b"zTXt": key + b"\0\0" + zlib.compress(b"a" * size * 10),
            b"iTXt": key + b"\0\1\0\0\0" + zlib.compress(b"a" * size * 10),
        }
        kind = rng.choice(sorted(body))
        parts.insert(rng.randrange(1, len(parts)), (kind, body[kind]))
    path.write_bytes(mutate.png_of(parts))


def odd_file(path: Path, bench: Bench, rng: random.Random) -> None:
    """Something other than a regular file."""
    path.unlink(missing_ok=True)
    makers: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path.name),
        "device": lambda: path.symlink_to(
            rng.choice(("/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem"))
        ),
        "empty": path.touch,
        "missing": lambda: None,
        "socket": lambda: path.symlink_to("/proc/self/fd/0"),
    }
    makers[rng.choice(list(makers))]()


def use_picture(bench: Bench, path: Path) -> str:
    from nstrep.images import io as images

    rgb = images.load_picture(path).rgb
    bench.allow(rgb)
    check(rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.float32, "shape or type")
    check(bool((rgb >= 0).all() and (rgb <= 1).all()), "values outside [0, 1]")
    return "picture"


def make_text_picture(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged result, or one with unusual text chunks."""
    path = Path("final.png")
    if rng.random() < 0.5:
        rng.choice((texts_png, lying_png, odd_file))(path, bench, rng)
    else:
        path.write_bytes(mutate.mutated((bench.folder / "runs/real/final.png").read_bytes(), rng))
    return path


def use_text_picture(bench: Bench, path: Path) -> str:
    from nstrep.experiment import from_image
    from nstrep.images import io as images

    images.read_png_text(path)
    from_image.read_texts(str(path))
    return "texts"


# --- networks --------------------------------------------------------------------------------


def make_params(bench: Bench, rng: random.Random, number: int) -> Path:
    """MXNet's container, damaged anywhere or in its header fields."""
    path = damaged(bench, rng, "networks", "params")
    if rng.random() < 0.5:  # most of a file is numbers; the fields are near its ends
        data = bytearray(bench.files("networks", "params")[path.stem])
        for _ in range(rng.choice((1, 2, 3))):
            at = rng.choice((8, 16, *range(24, 80, 4), *range(len(data) - 600, len(data) - 4, 4)))
            struct.pack_into("<I", data, at, rng.choice(mutate.EXTREMES) & 0xFFFFFFFF)
        path.write_bytes(bytes(data))
    return path


def make_npz(folder: str, like: str) -> Callable[[Bench, random.Random, int], Path]:
    """A damaged .npz, or one with objects, other types, wrong headers or a bomb inside."""

    def make(bench: Bench, rng: random.Random, number: int) -> Path:
        if rng.random() < 0.6:
            return damaged(bench, rng, folder, like)
        path = Path("network.npz")
        path.write_bytes(hostile_npz(bench.files(folder)[like], rng))
        return path

    return make


class Evil:
    """Acts when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("pwned",)


def npy(array: np.ndarray, header: str | None = None) -> bytes:
    """An array in NumPy's format, with another header if one is given."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    data = stream.getvalue()
    if header is None:
        return data
    (size,) = struct.unpack("<H", data[8:10])
    return data[:8] + struct.pack("<H", len(header)) + header.encode() + data[10 + size :]


def hostile_npz(data: bytes, rng: random.Random) -> bytes:
    """A .npz with one array that is not what it should be."""
    arrays = dict(np.load(io.BytesIO(data)))
    members = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    name = rng.choice(sorted(members))
    array = arrays[name.removesuffix(".npy")]
    shapes = ("(-1,)", "(2**60,)", "(1000000,1000000)", "()", "(0,)", "((1,),)", "None", str(1j))
    kinds = ("<f4", "|O", "<U9", "<M8[s]", "|V0", ">f8", "[('a','<f4')]", "<c16", "f2", "?")
    choices = {
        "objects": lambda: npy(np.array([Evil()], object)),
        "other": lambda: npy(array.astype(rng.choice(("f2", "f8", "i4", "c8", "U5", "?")))),
        "nan": lambda: npy(np.full_like(array, rng.choice((math.nan, math.inf)))),
        "header": lambda: npy(
            array,
            f"{{'descr': '{rng.choice(kinds)}', 'fortran_order': {rng.choice((True, 1, 'x'))},"
            f" 'shape': {rng.choice(shapes)}}}\n",
        ),
        "code": lambda: npy(array, rng.choice(("__import__('os').mkdir('pwned')", "(" * 900))),
        "empty": lambda: b"",
    }
    if rng.random() < 0.15:
        return bomb(rng.choice(((12_000, 8_000, 3), (150_000_000,))), tuple(members))
    members[name] = choices[rng.choice(sorted(choices))]()
    return mutate.zip_of(members)


@lru_cache
def bomb(shape: tuple[int, ...], members: tuple[str, ...]) -> bytes:
    """A small .npz whose arrays each decompress to hundreds of megabytes."""
    stream = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return mutate.zeros_npz(stream.getvalue(), 4 * math.prod(shape), members)


def make_pth(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged state dict, or a pickle that calls, nests or loops."""
    if rng.random() < 0.6:
        return damaged(bench, rng, "networks", "pth")
    import pickle

    from tests import weight_files

    good = weight_files.torch_pickle({"features.0.weight": np.zeros((4, 3, 3, 3), np.float32)})
    loop: list = []
    loop.append(loop)
    pickles = (
        pickle.dumps(Evil(), rng.randrange(6)),
        pickle.dumps(loop, 2),
        pickle.dumps({"a": [{}] * 1000}, 2),
        b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x02" + b"]" + b"\x85" * 200_000 + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f" + b"x.",
        b"\x80\x02\x8a\xff" + b"\xff" * 255 + b".",
        b"cos\nsystem\n(S'mkdir pwned'\ntR.",
        mutate.mutated(good, rng),
        good.replace(struct.pack("<i", 4), struct.pack("<i", 2**31 - 1)),
        good.replace(struct.pack("<i", 27), struct.pack("<i", 0)),
    )
    data = rng.choice(pickles)
    path = Path("network.pth")
    whole = weight_files.torch_zip if rng.random() < 0.6 else weight_files.torch_legacy
    path.write_bytes(whole({"features.0.weight": np.zeros((4, 3, 3, 3), np.float32)}, data))
    return path


def use_network(bench: Bench, path: Path) -> str:
    from nstrep.networks.weights import load_weights
    from tests.weight_files import TINY

    arrays = load_weights(path, TINY).arrays
    check(all(np.isfinite(array).all() for array in arrays.values()), "NaN in a network")
    return "network"


def use_fast(bench: Bench, path: Path) -> str:
    from nstrep.fast import layouts

    _, arrays = layouts.load(path)
    check(all(np.isfinite(array).all() for array in arrays.values()), "NaN in a network")
    return "network"


def make_training_checkpoint(bench: Bench, rng: random.Random, number: int) -> Path:
    path = Path("checkpoint.npz")
    write_checkpoint(path, bench.files("training")["checkpoint"], rng)
    return path


def make_run_checkpoint(bench: Bench, rng: random.Random, number: int) -> Path:
    """A run that was stopped, with a damaged checkpoint or curve."""
    directory = Path("run")
    shutil.copytree(bench.folder / "stopped", directory)
    damage = "curve.csv" if rng.random() < 0.15 else "checkpoint.npz"
    data = (directory / damage).read_bytes()
    if damage == "curve.csv":
        (directory / damage).write_bytes(mutate.mutated(data, rng))
    else:
        write_checkpoint(directory / damage, data, rng)
    return directory


def write_checkpoint(path: Path, data: bytes, rng: random.Random) -> None:
    """A checkpoint that is damaged or contains another state."""
    pick = rng.random()
    if pick < 0.5:
        path.write_bytes(mutate.mutated(data, rng))
        return
    if pick < 0.75:
        path.write_bytes(hostile_npz(data, rng))
        return
    arrays = dict(np.load(io.BytesIO(data)))
    state = seeds.spoiled(json.loads(arrays["facts"].tobytes()), rng)
    text = seeds.DEEP if rng.random() < 0.1 else json.dumps(state)
    arrays["facts"] = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def use_run_checkpoint(bench: Bench, directory: Path) -> str:
    from nstrep.analysis import run_reader
    from nstrep.experiment import run as experiment

    metrics = experiment.run_once(bench.run, directory, anew=False)
    check(metrics["status"] == "finished", "did not finish")
    curve = run_reader.load_run(directory).curve
    check(curve["epoch"].tolist() == list(range(metrics["epochs"] + 1)), "rows of the curve")
    return "run"


def use_training_checkpoint(bench: Bench, path: Path) -> str:
    training = bench.training
    training.restore(path)
    check(isinstance(training.step, int) and training.step >= 0, "step")
    check(math.isfinite(training.seconds), "seconds")
    return "checkpoint"


def make_raw(bench: Bench, rng: random.Random, number: int) -> Path:
    data = (bench.folder / "runs/real/raw.npz").read_bytes()
    path = Path("raw.npz")
    if rng.random() < 0.5:
        path.write_bytes(mutate.mutated(data, rng))
    elif rng.random() < 0.8:
        path.write_bytes(hostile_npz(data, rng))
    else:
        odd_file(path, bench, rng)
    return Path(".")


def use_raw(bench: Bench, folder: Path) -> str:
    from nstrep import denoise

    rgb = denoise.load_raw(folder)
    bench.allow(rgb)
    check(rgb.ndim == 3 and rgb.shape[2] == 3, "shape")
    return "raw"


# --- configurations --------------------------------------------------------------------------


def make_overrides(bench: Bench, rng: random.Random, number: int) -> list[str]:
    return bench.overrides[number % len(bench.overrides)]


def use_overrides(bench: Bench, typed: list[str]) -> str:
    with seeds.configurations() as compose:
        checked(lambda: compose("config", typed))
    return "configuration"


def checked(compose: Callable[[], Any]) -> tuple[Any, str]:
    """Compose and check, with the error messages of the command line; also as YAML."""
    from omegaconf import OmegaConf

    from nstrep import cli
    from nstrep.config.checks import check
    from nstrep.config.fields import absolute_paths

    try:
        config = check(compose())
        absolute_paths(config)
    except Exception as error:
        plain = cli.plain_error(error)
        if "unexpected" in str(plain):
            raise
        raise plain from None
    return config, OmegaConf.to_yaml(OmegaConf.structured(config))


def make_from_image(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """A final.png that contains another configuration."""
    from PIL import Image, PngImagePlugin

    config, inputs = stored_texts(bench.folder)
    stored, inputs = {**yaml.safe_load(config), "style_image": None}, json.loads(inputs)
    pick = rng.random()
    if pick < 0.5:
        stored = seeds.spoiled(stored, rng, rng.choice((1, 1, 2, 5)))
    elif pick < 0.75:  # paths, anywhere
        path = rng.choice(
            (str(bench.folder / "photos/1.png"), "/etc/passwd", "../x.png", "~/x.png", "/dev/zero",
             "link.png", "${oc.env:HOME}/x.png", "/proc/self/environ", "here.png", "fifo")
        )  # fmt: skip
        key = rng.choice(("content_image", "style_image", "init", "weights.path", "styles",
                          "content_masks", "style_masks"))  # fmt: skip
        node = stored["weights"] if key == "weights.path" else stored
        node[key.split(".")[-1]] = [path] if key.endswith("s") else path
        Path("link.png").symlink_to(bench.folder / "photos/1.png")
        shutil.copy(bench.folder / "photos/1.png", "here.png")
        os.mkfifo("fifo")
    if rng.random() < 0.3:
        inputs = seeds.spoiled(inputs, rng, 2)
    text = seeds.text_of(stored, rng) if rng.random() < 0.95 else rng.choice(seeds.HOSTILE)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("nstrep.config", text.encode("utf-8", "replace"), zip=True)
    other = rng.choice((seeds.DEEP, "[]", "{", "1"))
    info.add_itxt("nstrep.inputs", json.dumps(inputs) if rng.random() < 0.95 else other, zip=True)
    Image.new("RGB", (8, 8)).save("final.png", pnginfo=info)
    return ["from_image=final.png"]


@lru_cache
def stored_texts(folder: Path) -> tuple[str, str]:
    """The configuration and the inputs that a real result contains."""
    from nstrep.images import io as images

    text = images.read_png_text(folder / "runs/real/final.png")
    return text["nstrep.config"], text["nstrep.inputs"]


def use_from_image(bench: Bench, typed: list[str]) -> str:
    """Compose the configuration of the image, check it and read the images that it names."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    from nstrep.experiment import from_image, image_inputs

    with seeds.configurations() as compose:
        composed = compose("config", typed, return_hydra_config=True)
        HydraConfig.instance().set_config(composed)
        with open_dict(composed):
            del composed["hydra"]
        config, text = checked(lambda: from_image.rerun(composed)[0])
    check(seeds.SECRET not in text, "a variable of the environment came into the configuration")
    here = Path.cwd()
    for picture in image_inputs.load_pictures(config):
        place = Path(picture.source)
        inside = not place.is_absolute() or place.resolve().is_relative_to(here)
        check(inside, f"read {picture.source}, outside of the folder")
    return "configuration"


# --- run directories -------------------------------------------------------------------------


def make_runs(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """A folder of one to four runs, some of them damaged."""
    folder = Path(rng.choice(("runs", "runs", "<b>runs&amp;'\"", "r\nuns", "${oc.env:HOME}")))
    names = rng.sample(("real", "0", "1", "broken"), rng.choice((1, 2, 4)))
    for name in names:
        odd = rng.choice((name, name, name, "<img src=x onerror=a(1)>", "a\nb\x1b[1m", "é" * 60))
        target = folder / (odd if not (folder / odd).exists() else name)
        shutil.copytree(bench.folder / "runs" / name, target)
        for _ in range(rng.choice((0, 1, 1, 2))):
            spoil_run(target, bench, rng)
    tool = rng.choice(TOOLS)
    return [tool, str(folder), *([rng.choice(PLOTS)] if tool == "plot" else [])]


def spoil_run(run: Path, bench: Bench, rng: random.Random) -> None:
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and not path.is_symlink()]
    if not files:
        return
    path = rng.choice(files)
    data = path.read_bytes()
    pick = rng.random()
    if pick < 0.15:
        odd_file(path, bench, rng)
    elif pick < 0.25:
        path.unlink()
        private = (bench.folder / name for name in ("private.yaml", "private.csv", "photos/0.png"))
        path.symlink_to(rng.choice(("/etc/passwd", "/dev/zero", "..", *private)))
    elif pick < 0.6 and path.suffix in (".json", ".yaml") and (tree := parsed(data)) is not None:
        tree = seeds.spoiled(tree, rng, rng.choice((1, 3, 10)))
        if path.suffix == ".json":
            text = seeds.DEEP if rng.random() < 0.05 else json.dumps(tree)
        else:
            text = seeds.text_of(tree, rng)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    elif pick < 0.6 and path.suffix == ".csv":
        path.write_text(spoiled_table(data.decode(), rng), errors="backslashreplace")
    else:
        path.write_bytes(mutate.mutated(data, rng))


def parsed(data: bytes) -> Any:
    """YAML or JSON as data; None if it cannot be parsed."""
    try:
        return yaml.safe_load(data.decode())
    except Exception:  # it raises almost anything
        return None


def spoiled_table(text: str, rng: random.Random) -> str:
    """A curve with other cells, columns or rows."""
    rows = [line.split(",") for line in text.splitlines()]
    pick = rng.random()
    if pick < 0.5:
        for _ in range(rng.choice((1, 5))):
            row = rng.choice(rows)
            row[rng.randrange(len(row))] = str(seeds.value(rng))[:2000]
    elif pick < 0.6:
        rows[0] = [rows[0][0]] * len(rows[0])
    elif pick < 0.7:
        rows = [row * 3000 for row in rows]
    elif pick < 0.8:
        rows = [[f"{name}{i}" for i in range(3000) for name in rows[0][:1]], *rows]
    elif pick < 0.9:
        rows = [rows[0], *rows[1:] * 20_000]
    else:
        rng.shuffle(rows)
    return "\n".join(",".join(row) for row in rows) + rng.choice(("\n", "", '"', "\n\n", "\r"))


def use_runs(bench: Bench, case: list[str]) -> str:
    """Read them, or write the table, the page or the figures."""
    from nstrep import collect, plot
    from nstrep.analysis import run_reader
    from nstrep.base.errors import NstrepError
    from nstrep.report import __main__ as report

    tool, folder, *more = case
    if tool == "load":
        for run in run_reader.load_sweep(folder).runs:
            run_reader.load_run(run.path)
            check(one_line(run.reason), "a reason of several lines")
        return "runs"
    command = {"report": report.main, "collect": collect.main, "plot": plot.main}[tool]
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
            command([folder, *more])
    except SystemExit as error:
        line = stderr.getvalue().strip()
        check(line.startswith("nstrep: error: ") and one_line(line), f"printed {line!r}")
        check(isinstance(error.code, int) and error.code > 0, f"exit code {error.code}")
        raise NstrepError(line) from None
    if tool in ("report", "collect"):
        table = (Path(folder) / "summary.csv").read_text(encoding="utf-8")
        check(seeds.SECRET not in table, "a secret came into the table")
    if tool == "report":
        check_page(bench, (Path(folder) / "report.html").read_text(encoding="utf-8"))
    return tool


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [text or "" for name, text in attrs if name in ("href", "src")]


def check_page(bench: Bench, page: str) -> None:
    """No text of a run is markup, no link leads elsewhere, and the page has no secret."""
    template = (bench.root / "nstrep/report/page.html.j2").read_text()
    elements = Elements(page)
    foreign = set(elements.tags) - set(re.findall(r"<([a-z][a-z0-9]*)", template))
    check(not foreign, f"elements {sorted(foreign)} in the page")
    scripts = elements.tags["script"]
    check(scripts == template.count("<script"), f"{scripts} scripts in the page")
    acting = sorted(name for name in elements.attributes if name.startswith("on"))
    check(not acting, f"attributes {acting} in the page")
    for address in elements.addresses:
        check(address.startswith(("#", "./", "data:")), f"an address {address[:80]!r}")
    check(seeds.SECRET not in page, "a variable of the environment came into the page")


# --- the real command line -------------------------------------------------------------------


def make_command(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """A command line for any of the cases above."""
    tool = rng.choice(("run", "run", "from_image", "picture", "report", "plot", "stylize", "raw"))
    small = ["max_num_epochs=1", "max_long_edge=48", "model=vgg19_slim", "hydra.run.dir=out"]
    if tool == "run":
        typed = [word for word in bench.overrides[number] if "\0" not in word]
        return ["nstrep.run", *(word for word in typed if not word.startswith("-")), *small]
    if tool == "from_image":
        return ["nstrep.run", *make_from_image(bench, rng, number), *small[:2], "hydra.run.dir=out"]
    if tool == "picture":
        return ["nstrep.run", f"content_image={make_picture(bench, rng, number)}", *small]
    if tool in ("report", "plot"):
        return [f"nstrep.{tool}", make_runs(bench, rng, number)[1]]
    if tool == "stylize":
        picture = bench.folder / "photos/0.png"
        return [
            "nstrep.fast.stylize",
            f"model={make_npz('fast', 'net')(bench, rng, number)}",
            f"image={picture}",
        ]
    return ["nstrep.denoise", str(make_raw(bench, rng, number)), "--tv", "0.1"]


def use_command(bench: Bench, command: list[str]) -> str:
    """Run it in its own process: it needs a proper exit code and no traceback."""
    from nstrep.base.errors import NstrepError

    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, stdin=subprocess.DEVNULL
    )
    stderr = done.stderr.decode(errors="replace")
    check(done.returncode >= 0, f"died of signal {-done.returncode}")
    check("Traceback" not in stderr, f"a traceback: {stderr[-500:]}")
    check("unexpected" not in stderr, f"printed {stderr[-500:]}")
    typed = any(seeds.SECRET_VARIABLE in word for word in command)
    printed = stderr + done.stdout.decode(errors="replace")
    check(typed or seeds.SECRET not in printed, "a secret was printed")
    if done.returncode:
        lines = [line for line in stderr.splitlines() if line.startswith("nstrep: error: ")]
        check(len(lines) == 1, f"{len(lines)} error lines: {stderr[-500:]}")
        raise NstrepError(lines[0])
    return command[0]


def check(is_right: bool, message: str) -> None:
    if not is_right:
        raise Wrong(message)


def one_line(text: str) -> bool:
    """Whether text may be part of a message: printable, one line, not endless."""
    return (text.isprintable() or not text) and len(text) <= 10_000


# --- controls --------------------------------------------------------------------------------


def do_wrong(bench: Bench, what: str) -> str:
    """Fail in a way that the harness must notice."""
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "loop":
        while True:
            pass
    if what == "memory":
        return str(np.ones(10**8).sum())  # 800 MB
    if what == "obeyed":
        os.mkdir("pwned")
        return what
    raise KeyError(what)


CONTROLS = ("crash", "loop", "memory", "obeyed", "exception")
"""Cases that are wrong, for a test of the harness; no part of a fuzz."""

KINDS = {
    kind.name: kind
    for kind in (
        *(Kind(f"control: {what}", 0, lambda *_, w=what: w, do_wrong) for what in CONTROLS),
        Kind("pictures", 220, make_picture, use_picture),
        Kind("texts of PNGs", 50, make_text_picture, use_text_picture),
        Kind("networks: .params", 110, make_params, use_network),
        Kind("networks: .npz", 90, make_npz("networks", "npz"), use_network),
        Kind("networks: .pth", 90, make_pth, use_network),
        Kind(
            "networks: .h5",
            30,
            lambda bench, rng, _: damaged(bench, rng, "networks", "h5"),
            use_network,
        ),
        Kind("fast networks", 60, make_npz("fast", "net"), use_fast),
        Kind("checkpoints of runs", 50, make_run_checkpoint, use_run_checkpoint),
        Kind("checkpoints of trainings", 50, make_training_checkpoint, use_training_checkpoint),
        Kind("raw.npz of runs", 40, make_raw, use_raw),
        Kind("overrides", 70, make_overrides, use_overrides),
        Kind("configurations in pictures", 70, make_from_image, use_from_image),
        Kind("run directories", 55, make_runs, use_runs),
        Kind("command lines", 15, make_command, use_command),
    )
}
