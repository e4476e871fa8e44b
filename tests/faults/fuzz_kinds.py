"""What is fuzzed: for each kind of input, how a case is made and what reads it.

A case is made into the current folder, which is its own. What reads it is what the program calls
for such a file; it returns a word for a result, or raises.
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
    """A case did what it must not."""


@dataclass
class Bench:
    """What the cases of one worker share."""

    folder: Path
    """The seed files."""
    root: Path
    """The checkout."""
    allowed_mb: float = 0.0
    """Memory that the case at hand may take besides: that of the pixels which it really has."""
    _kept: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def files(self, name: str, like: str = "") -> dict[str, bytes]:
        """Seed files of a folder whose names begin so."""
        if name not in self._kept:
            self._kept[name] = seeds.read(self.folder, name)
        return {key: data for key, data in self._kept[name].items() if key.startswith(like)}

    def allow(self, rgb: np.ndarray) -> None:
        """Allow a picture its memory: a GIF of 1 kB may have a canvas of 100 megapixels, which is
        what the program reads at most.
        """
        self.allowed_mb = 32 * rgb.shape[0] * rgb.shape[1] / 2**20

    @cached_property
    def overrides(self) -> list[list[str]]:
        """Drawn by hypothesis before the workers began."""
        return json.loads((self.folder / "overrides.json").read_text())

    @cached_property
    def training(self) -> Any:
        """One training, whose checkpoints are read."""
        from hydra import compose

        from nstrep.fast import config, training

        with configurations():
            composed = compose("fast", list(seeds.training_overrides(self.folder)))
            return training.Training(config.check(composed))

    @cached_property
    def run(self) -> Any:
        """One experiment, whose checkpoints are read."""
        from hydra import compose

        from nstrep.config.checks import check as checked

        with configurations():
            return checked(compose("config", list(seeds.run_overrides(self.folder))))


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    name: str
    share: int
    """Of 1000 cases."""
    make: Callable[[Bench, random.Random, int], Any]
    """Write the case's files and return what ``use`` is called with."""
    use: Callable[[Bench, Any], str]


@contextlib.contextmanager
def configurations() -> Any:
    """Hydra knows configs/."""
    from hydra import initialize_config_dir

    from nstrep import cli

    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        yield


def damaged(folder: str, like: str = "") -> Callable[[Bench, random.Random, int], Path]:
    """Cases that are a mutated seed file."""

    def make(bench: Bench, rng: random.Random, number: int) -> Path:
        found = bench.files(folder, like)
        name = rng.choice(sorted(found))
        path = Path(f"{name}.bin")
        path.write_bytes(mutate.mutated(found[name], rng, list(found.values())))
        return path

    return make


# --- pictures --------------------------------------------------------------------------------


def make_picture(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged picture, one that lies about its size, a bomb, or no file at all."""
    if rng.random() < 0.85:
        return damaged("pictures")(bench, rng, number)
    path = Path("picture.bin")
    special = rng.choice((lying_png, lying_png, lying_other, texts_png, odd_file))
    special(path, bench, rng)
    return path


def lying_png(path: Path, bench: Bench, rng: random.Random) -> None:
    """A PNG whose header names a size that its data have not, or data that unfold to more."""
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
    """A PNG with text chunks that are huge, many or of no known text."""
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
    """Something else than a file in its place."""
    path.unlink(missing_ok=True)
    kind = rng.choice(("fifo", "folder", "loop", "device", "empty", "missing", "socket"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "device":
        path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem")))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "socket":
        path.symlink_to("/proc/self/fd/0")


def use_picture(bench: Bench, path: Path) -> str:
    """Decode it, as every picture is."""
    from nstrep.images import io as images

    rgb = images.load_picture(path).rgb
    bench.allow(rgb)
    check(rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.float32, "shape or type")
    check(bool((rgb >= 0).all() and (rgb <= 1).all()), "values outside [0, 1]")
    return "picture"


def make_text_picture(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged result, or one with odd text chunks."""
    path = Path("final.png")
    if rng.random() < 0.5:
        rng.choice((texts_png, lying_png, odd_file))(path, bench, rng)
    else:
        path.write_bytes(mutate.mutated((bench.folder / "runs/real/final.png").read_bytes(), rng))
    return path


def use_text_picture(bench: Bench, path: Path) -> str:
    """Read its texts, and the configuration in them."""
    from nstrep.experiment import from_image
    from nstrep.images import io as images

    images.read_png_text(path)
    from_image.read_texts(str(path))
    return "texts"


# --- networks --------------------------------------------------------------------------------


def make_params(bench: Bench, rng: random.Random, number: int) -> Path:
    """MXNet's container, damaged anywhere or in its fields."""
    path = damaged("networks", "params")(bench, rng, number)
    if rng.random() < 0.5:  # most of a file is numbers: change where the fields are
        data = bytearray(bench.files("networks", "params")[path.stem])
        for _ in range(rng.choice((1, 2, 3))):
            at = rng.choice((8, 16, *range(24, 80, 4), *range(len(data) - 600, len(data) - 4, 4)))
            struct.pack_into("<I", data, at, rng.choice(mutate.EXTREMES) & 0xFFFFFFFF)
        path.write_bytes(bytes(data))
    return path


def make_npz(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged .npz, or one with objects, other types, lying headers or a bomb inside."""
    if rng.random() < 0.6:
        return damaged("networks", "npz")(bench, rng, number)
    path = Path("network.npz")
    path.write_bytes(hostile_npz(dict(np.load(io.BytesIO(bench.files("networks")["npz"]))), rng))
    return path


class Evil:
    """Does harm where it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("pwned",)


def npy(array: np.ndarray, header: str | None = None) -> bytes:
    """An array's bytes, under another header if one is given."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    data = stream.getvalue()
    if header is None:
        return data
    (size,) = struct.unpack("<H", data[8:10])
    return data[:8] + struct.pack("<H", len(header)) + header.encode() + data[10 + size :]


def hostile_npz(arrays: dict[str, np.ndarray], rng: random.Random) -> bytes:
    """Arrays as .npz, of which one is not what it should be."""
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
    """A small .npz of which each array unfolds to hundreds of megabytes, as its header says."""
    stream = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return mutate.zeros_npz(stream.getvalue(), 4 * math.prod(shape), members)


def make_pth(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged state dict, or a pickle that calls, nests or loops."""
    if rng.random() < 0.6:
        return damaged("networks", "pth")(bench, rng, number)
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
    """Read a loss network."""
    from nstrep.networks.weights import load_weights
    from tests.weight_files import TINY

    arrays = load_weights(path, TINY).arrays
    check(all(np.isfinite(array).all() for array in arrays.values()), "NaN in a network")
    return "network"


def make_fast(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged network of nstrep.fast."""
    if rng.random() < 0.6:
        return damaged("fast")(bench, rng, number)
    path = Path("net.npz")
    path.write_bytes(hostile_npz(dict(np.load(io.BytesIO(bench.files("fast")["net"]))), rng))
    return path


def use_fast(bench: Bench, path: Path) -> str:
    """Read a transform network."""
    from nstrep.fast import layouts

    _, arrays = layouts.load(path)
    check(all(np.isfinite(array).all() for array in arrays.values()), "NaN in a network")
    return "network"


def make_training_checkpoint(bench: Bench, rng: random.Random, number: int) -> Path:
    """A damaged checkpoint of a training, or one with another state inside."""
    path = Path("checkpoint.npz")
    write_checkpoint(path, bench.files("training")["checkpoint"], rng)
    return path


def make_run_checkpoint(bench: Bench, rng: random.Random, number: int) -> Path:
    """A run that was stopped, with such a checkpoint or a damaged curve beside it."""
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
    """A checkpoint that is damaged, or has another state inside."""
    pick = rng.random()
    if pick < 0.5:
        path.write_bytes(mutate.mutated(data, rng))
        return
    arrays = dict(np.load(io.BytesIO(data)))
    if pick < 0.75:
        path.write_bytes(hostile_npz(arrays, rng))
        return
    state = seeds.spoiled(json.loads(arrays["facts"].tobytes()), rng)
    text = seeds.DEEP if rng.random() < 0.1 else json.dumps(state)
    arrays["facts"] = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


def use_run_checkpoint(bench: Bench, directory: Path) -> str:
    """Go on with the run; the same command in a sweep would begin it anew."""
    from nstrep.analysis import run_reader
    from nstrep.experiment import run as experiment

    metrics = experiment.run_once(bench.run, directory, anew=False)
    check(metrics["status"] == "finished", "did not finish")
    curve = run_reader.load_run(directory).curve
    check(curve["epoch"].tolist() == list(range(metrics["epochs"] + 1)), "rows of the curve")
    return "run"


def use_training_checkpoint(bench: Bench, path: Path) -> str:
    """Go on from a checkpoint."""
    training = bench.training
    training.restore(path)
    check(isinstance(training.step, int) and training.step >= 0, "step")
    check(math.isfinite(training.seconds), "seconds")
    return "checkpoint"


def make_raw(bench: Bench, rng: random.Random, number: int) -> Path:
    """A run whose raw.npz is damaged."""
    data = (bench.folder / "runs/real/raw.npz").read_bytes()
    path = Path("raw.npz")
    if rng.random() < 0.5:
        path.write_bytes(mutate.mutated(data, rng))
    elif rng.random() < 0.8:
        path.write_bytes(hostile_npz(dict(np.load(io.BytesIO(data))), rng))
    else:
        odd_file(path, bench, rng)
    return Path(".")


def use_raw(bench: Bench, folder: Path) -> str:
    """Read the result before the filter."""
    from nstrep import denoise

    rgb = denoise.load_raw(folder)
    bench.allow(rgb)
    check(rgb.ndim == 3 and rgb.shape[2] == 3, "shape")
    return "raw"


# --- configurations --------------------------------------------------------------------------


def make_overrides(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """What may be typed."""
    return bench.overrides[number % len(bench.overrides)]


def use_overrides(bench: Bench, typed: list[str]) -> str:
    """Compose and check, as the command line does; its errors in its words."""
    from hydra import compose
    from omegaconf import OmegaConf

    from nstrep import cli
    from nstrep.config.checks import check as checked
    from nstrep.config.fields import absolute_paths

    with configurations():
        try:
            config = checked(compose("config", typed))
            absolute_paths(config)
            OmegaConf.to_yaml(OmegaConf.structured(config))
        except Exception as error:
            plain = cli.plain_error(error)
            if "unexpected" in str(plain):
                raise
            raise plain from None
    return "configuration"


def make_from_image(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """A final.png with another configuration inside."""
    from PIL import Image, PngImagePlugin

    stored, inputs = stored_texts(bench.folder)
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
    said = json.dumps(inputs) if rng.random() < 0.95 else rng.choice((seeds.DEEP, "[]", "{", "1"))
    info.add_itxt("nstrep.inputs", said, zip=True)
    Image.new("RGB", (8, 8)).save("final.png", pnginfo=info)
    return ["from_image=final.png"]


@lru_cache
def _texts(folder: Path) -> tuple[str, str]:
    from nstrep.images import io as images

    text = images.read_png_text(folder / "runs/real/final.png")
    return text["nstrep.config"], text["nstrep.inputs"]


def stored_texts(folder: Path) -> tuple[dict, dict]:
    """The configuration and the inputs that a real result holds."""
    config, inputs = _texts(folder)
    stored = yaml.safe_load(config)
    stored["style_image"] = None
    return stored, json.loads(inputs)


def use_from_image(bench: Bench, typed: list[str]) -> str:
    """Compose, take the picture's configuration, check it and read the pictures it names."""
    from hydra import compose
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict

    from nstrep import cli
    from nstrep.config.checks import check as checked
    from nstrep.config.fields import absolute_paths
    from nstrep.experiment import from_image, image_inputs

    with configurations():
        composed = compose("config", typed, return_hydra_config=True)
        HydraConfig.instance().set_config(composed)
        with open_dict(composed):
            del composed["hydra"]
        try:
            config = checked(from_image.rerun(composed)[0])
            absolute_paths(config)
        except Exception as error:
            plain = cli.plain_error(error)
            if "unexpected" in str(plain):
                raise
            raise plain from None
    text = OmegaConf.to_yaml(OmegaConf.structured(config))
    check(seeds.SECRET not in text, "a variable of the environment came into the configuration")
    here = Path.cwd()
    found = image_inputs.load_pictures(config)
    for picture in found:
        place = Path(picture.source)
        inside = not place.is_absolute() or place.resolve().is_relative_to(here)
        check(inside, f"read {picture.source}, outside of the folder")
    return "configuration"


# --- run directories -------------------------------------------------------------------------


def make_runs(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """A folder of two to four runs, of which one or more are damaged."""
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
    """Damage one file of a run."""
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
    """YAML or JSON as data; None where it has been spoiled already."""
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
    """Read them, or make the table, the page or the figures."""
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
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            command([folder, *more])
    except SystemExit as error:
        line = said.getvalue().strip()
        check(line.startswith("nstrep: error: ") and one_line(line), f"said {line!r}")
        check(isinstance(error.code, int) and error.code > 0, f"exit code {error.code}")
        raise NstrepError(line) from None
    if tool in ("report", "collect"):
        table = (Path(folder) / "summary.csv").read_text(encoding="utf-8")
        check(seeds.SECRET not in table, "a secret came into the table")
    if tool == "report":
        check_page(bench, (Path(folder) / "report.html").read_text(encoding="utf-8"))
    return tool


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.scripts = 0
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.found |= {(tag, name) for name, _ in attrs} | {(tag, "")}
        self.addresses += [text or "" for name, text in attrs if name in ("href", "src")]


@lru_cache
def own_tags(root: Path) -> tuple[set[str], int]:
    """The elements that the template has, and how many scripts."""
    template = (root / "nstrep/report/page.html.j2").read_text()
    return set(re.findall(r"<([a-z][a-z0-9]*)", template)), len(re.findall("<script", template))


def check_page(bench: Bench, page: str) -> None:
    """Nothing of a run is markup, nothing leads elsewhere, and no secret is in it."""
    tags, scripts = own_tags(bench.root)
    elements = Elements(page)
    odd = {tag for tag, _ in elements.found} - tags
    check(not odd, f"elements {sorted(odd)} in the page")
    check(elements.scripts == scripts, f"{elements.scripts} scripts in the page")
    acting = {name for _, name in elements.found if name.startswith("on")}
    check(not acting, f"attributes {sorted(acting)} in the page")
    for address in elements.addresses:
        check(address.startswith(("#", "./", "data:")), f"an address {address[:80]!r}")
    check(seeds.SECRET not in page, "a variable of the environment came into the page")


# --- the real command line -------------------------------------------------------------------


def make_command(bench: Bench, rng: random.Random, number: int) -> list[str]:
    """A command over any of the cases above."""
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
        return ["nstrep.fast.stylize", f"model={make_fast(bench, rng, number)}", f"image={picture}"]
    return ["nstrep.denoise", str(make_raw(bench, rng, number)), "--tv", "0.1"]


def use_command(bench: Bench, command: list[str]) -> str:
    """Run it in its own process: an exit code, and no traceback."""
    from nstrep.base.errors import NstrepError

    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, stdin=subprocess.DEVNULL
    )
    said = done.stderr.decode(errors="replace")
    check(done.returncode >= 0, f"died of signal {-done.returncode}")
    check("Traceback" not in said, f"a traceback: {said[-500:]}")
    check("unexpected" not in said, f"said {said[-500:]}")
    typed = any(seeds.SECRET_VARIABLE in word for word in command)
    printed = said + done.stdout.decode(errors="replace")
    check(typed or seeds.SECRET not in printed, "a secret was printed")
    if done.returncode:
        lines = [line for line in said.splitlines() if line.startswith("nstrep: error: ")]
        check(len(lines) == 1, f"{len(lines)} error lines: {said[-500:]}")
        raise NstrepError(lines[0])
    return command[0]


def check(right: bool, what: str) -> None:
    """Raise Wrong unless it is right."""
    if not right:
        raise Wrong(what)


def one_line(text: str) -> bool:
    """Whether text may stand in a message: printable, on one line, not endless."""
    return (text.isprintable() or not text) and len(text) <= 10_000


# --- what the harness must notice ------------------------------------------------------------


def do_wrong(bench: Bench, what: str) -> str:
    """Go wrong in one of the ways that count."""
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
"""Cases that are wrong, so that a test can see that each is noticed; no part of a fuzz."""

KINDS = {
    kind.name: kind
    for kind in (
        *(Kind(f"control: {what}", 0, lambda *_, w=what: w, do_wrong) for what in CONTROLS),
        Kind("pictures", 220, make_picture, use_picture),
        Kind("texts of PNGs", 50, make_text_picture, use_text_picture),
        Kind("networks: .params", 110, make_params, use_network),
        Kind("networks: .npz", 90, make_npz, use_network),
        Kind("networks: .pth", 90, make_pth, use_network),
        Kind("networks: .h5", 30, damaged("networks", "h5"), use_network),
        Kind("fast networks", 60, make_fast, use_fast),
        Kind("checkpoints of runs", 50, make_run_checkpoint, use_run_checkpoint),
        Kind("checkpoints of trainings", 50, make_training_checkpoint, use_training_checkpoint),
        Kind("raw.npz of runs", 40, make_raw, use_raw),
        Kind("overrides", 70, make_overrides, use_overrides),
        Kind("configurations in pictures", 70, make_from_image, use_from_image),
        Kind("run directories", 55, make_runs, use_runs),
        Kind("command lines", 15, make_command, use_command),
    )
}
