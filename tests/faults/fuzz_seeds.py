"""Valid files for the fuzz to damage, made by the project itself, and malicious texts.

``python -m tests.faults.fuzz_seeds FOLDER`` writes the files.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageCms

SECRET = "fuzz-secret-1f7c"
"""A value in the environment of every case, which no file may reveal."""

SECRET_VARIABLE = "NSTREP_FUZZ_SECRET"

HOSTILE = (
    f"${{oc.env:{SECRET_VARIABLE}}}", "x ${oc.env:HOME} y", "${hydra:runtime.cwd}", "${", "${}",
    "${..seed}", "${oc.create:{a: 1}}", "${nstrep.sweep_name:}", "\\${oc.env:HOME}",
    "!!python/object/apply:os.system ['true']", "*a", "&a b", "<<", "=", "? a",
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><script>alert(1)",
    "<!--", "]]>", "javascript:alert(1)", "{{7*7}}", "{%", "&lt;", "'", '"', "`", "\\",
    "../../../etc/passwd", "/etc/passwd", "/dev/zero", "~root/x", "/proc/self/environ",
    "~nobody/x", "a/" * 3000, ".", "",
    "a\nb", "a\r\nnstrep: error: b", "\x1b[31mred\x1b[0m", "\x00", "\x07", "\u202eabc", "\ufeff",
    "é" * 300, "日本", "😀", "A" * 100_000, "$x^{$", r"\frac{1}{", "%s%n", "$(id)", "; id",
    "null", "true", "nan", "inf", "-inf", "1e400", "-1", "0", "1e-320", "9" * 5000, "0x10", "1_0",
    "2001-02-30", "0001-01-01 00:00:00 +23:59", "1:99:99", "[", "[1,[2,[3]]]", "{a: {b: c}}",
)  # fmt: skip

DEEP = "[" * 100_000
PNG_SIZE = (20, 30)


def value(rng: random.Random) -> object:
    pick = rng.random()
    if pick < 0.6:
        return rng.choice(HOSTILE)
    return rng.choice(
        (None, True, -1, 0, 2**31, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf"), [], {},
         [[]], [None], ["x"] * 1000, {"a": 1}, {"": ""}, {"name": {"name": "x"}}, 1.5)
    )  # fmt: skip


def spoiled(node: object, rng: random.Random, changes: int = 1) -> object:
    """A tree of dicts and lists with some values, keys or branches replaced."""
    node = json.loads(json.dumps(node))
    for _ in range(changes):
        parent, key = node, None
        while isinstance(parent, (dict, list)) and parent:
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            key = rng.choice(list(keys))
            if not isinstance(parent[key], (dict, list)) or not parent[key] or rng.random() < 0.2:
                break
            parent = parent[key]
        if key is None or not isinstance(parent, (dict, list)):
            return value(rng)
        action = rng.random()
        if action < 0.75 or isinstance(parent, list):
            parent[key] = value(rng)
        elif action < 0.85:
            del parent[key]
        else:
            parent[str(rng.choice(HOSTILE))] = value(rng)
    return node


def text_of(tree: object, rng: random.Random) -> str:
    """A tree as YAML, sometimes with tags, anchors or merges."""
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    if rng.random() < 0.25:
        lines = text.splitlines()
        index = rng.randrange(len(lines))
        extra = rng.choice(
            ("!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system",
             "!!timestamp x", "!!bool x", "!!int ''", "!!float ''", "!!binary '%'", "!!set {a}",
             "!!omap [a]", "!!pairs [a]", "!a b", "&a [*a]", "{<<: *a}", "{<<: 1}", "{? [1] : 2}",
             "\t", "%YAML 9.9", "--- a", "..."
             "&a [" + "x," * 9 + "]", DEEP)
        )  # fmt: skip
        key = lines[index].partition(":")[0]
        lines[index] = f"{key}: {extra}"
        text = "\n".join(lines)
    if rng.random() < 0.03:  # a few lines that expand to gigabytes
        levels = [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
        text = "\n".join(["a0: &a0 x", *levels, text])
    if rng.random() < 0.03:
        text = "a: b\n" * 200_000
    return text


# --- files -----------------------------------------------------------------------------------


def pictures() -> dict[str, bytes]:
    """An image in every format, depth and colour model that is read."""
    import tifffile

    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*PNG_SIZE, 3), dtype=np.uint8)
    deep = rng.integers(0, 65536, (*PNG_SIZE, 3), dtype=np.uint16)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6

    def saved(mode: str, kind: str, pixels: np.ndarray = rgb, **options: object) -> bytes:
        stream = io.BytesIO()
        image = Image.fromarray(pixels)
        (image if mode == "as is" else image.convert(mode)).save(stream, kind, **options)
        return stream.getvalue()

    def tiff(array: np.ndarray, **options: object) -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, **options)
        return stream.getvalue()

    return {
        "jpeg": saved("RGB", "JPEG", icc_profile=srgb, exif=exif.tobytes()),
        "jpeg_cmyk": saved("CMYK", "JPEG"),
        "jpeg_progressive": saved("L", "JPEG", progressive=True, icc_profile=icc),
        "png": saved("RGB", "PNG", icc_profile=srgb, exif=exif.tobytes()),
        "png_alpha": saved("RGBA", "PNG"),
        "png_palette": saved("P", "PNG", transparency=3),
        "png_1": saved("1", "PNG"),
        "png_grey_alpha": saved("LA", "PNG", icc_profile=icc),
        "png_16": saved("as is", "PNG", deep[..., 0]),
        "webp": saved("RGB", "WEBP", icc_profile=srgb, exif=exif.tobytes()),
        "webp_lossless": saved("RGBA", "WEBP", lossless=True),
        "bmp": saved("RGB", "BMP"),
        "bmp_palette": saved("P", "BMP"),
        "gif": saved("P", "GIF"),
        "tiff": saved("RGB", "TIFF", compression="tiff_lzw", icc_profile=srgb, exif=exif),
        "tiff_jpeg": saved("RGB", "TIFF", compression="jpeg"),
        "tiff_packbits": saved("1", "TIFF", compression="group4"),
        "tiff_16": tiff(deep, photometric="rgb"),
        "tiff_16_deflate": tiff(deep, photometric="rgb", compression="zlib"),
        "tiff_float": tiff((rgb / 255).astype(np.float32), photometric="rgb", tile=(16, 16)),
        "tiff_planes": tiff(np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate"),
    }


def networks() -> dict[str, bytes]:
    """The same small network in every container."""
    from tests import weight_files as files

    arrays = files.draw()
    torch = {files.torch_names()[name]: array for name, array in arrays.items()}
    found = {f"params_{v}": files.mxnet_file(arrays, v) for v in range(4)}
    found |= {
        "npz": files.npz_file(arrays),
        "npz_deflated": files.npz_file(arrays, compressed=True),
        "pth": files.torch_zip(torch),
        "pth_legacy": files.torch_legacy(torch),
    }
    with contextlib.suppress(ImportError):
        found["h5"] = files.keras_file(arrays, year=2017)
    return found


@contextlib.contextmanager
def configurations() -> Iterator[Callable[..., Any]]:
    """Hydra's compose for configs/."""
    from hydra import compose, initialize_config_dir

    from nstrep import cli

    with initialize_config_dir(version_base="1.3", config_dir=str(cli.config_folder())):
        yield compose


def make(folder: Path) -> None:
    """Write all seed files: pictures/, networks/, fast/, runs/ of a real run and of made-up ones,
    stopped/ of a run with a checkpoint and training/ with one.
    """

    from nstrep.config.checks import check
    from nstrep.experiment import run
    from nstrep.fast import config as fast_config
    from nstrep.fast import layouts
    from nstrep.fast.architectures import NETS
    from nstrep.fast.network import initial
    from nstrep.fast.training import Trainer
    from tests.runs import write_run

    for name, files in (("pictures", pictures()), ("networks", networks())):
        (folder / name).mkdir(parents=True)
        for file, data in files.items():
            (folder / name / file).write_bytes(data)
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(1)
    for index in range(3):
        pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{index}.png")
    with configurations() as compose:
        short = check(compose("config", [*run_overrides(folder), "max_num_epochs=1"]))
        whole = check(compose("config", list(run_overrides(folder))))
        trained = fast_config.check(compose("fast", list(training_overrides(folder))))
    run.run(short, folder / "runs" / "real")
    with contextlib.suppress(KeyboardInterrupt):
        run.run(whole, folder / "stopped", callback=interrupt)
    for number, weight in enumerate(("content_weight=1", "content_weight=20")):
        write_run(folder / "runs" / str(number), weight, seed=number)
    write_run(folder / "runs" / "broken", "seed=3", status="failed", reason="no")
    (folder / "private.yaml").write_text(f"{{token: {SECRET}, total: 1}}\n")
    (folder / "private.csv").write_text(f"epoch,total\n1,{SECRET}\n")
    (folder / "training").mkdir()
    Trainer(trained).save(folder / "training" / "checkpoint")
    (folder / "fast").mkdir()
    layouts.save(folder / "fast" / "net.npz", NETS["small"], dict(initial(NETS["small"], 0)))
    shutil.move(folder / "fast" / "net.npz", folder / "fast" / "net")


def interrupt(step: object) -> None:
    """End a run after three epochs, as Ctrl-C does."""
    if step.epoch == 3:
        raise KeyboardInterrupt


def run_overrides(folder: Path) -> tuple[str, ...]:
    """The run whose checkpoints are damaged."""
    return (
        "model=vgg19_slim", "max_long_edge=48", "max_num_epochs=5", "content=chelsea",
        "checkpoint_seconds=0", f"style_image={folder / 'photos' / '0.png'}",
    )  # fmt: skip


def training_overrides(folder: Path) -> tuple[str, ...]:
    """The training whose checkpoints are damaged."""
    photos = folder / "photos"
    return (
        "data.size=32", "style_size=32", "batch_size=1", "model=vgg19_slim", "data.held_out=1",
        f"style_image={photos / '0.png'}", f"data.dir={photos}",
    )  # fmt: skip


def overrides(count: int, seed: int) -> list[list[str]]:
    """Command lines drawn by hypothesis: keys of the schema and others, values of every kind."""
    import hypothesis
    from hypothesis import strategies as st

    from nstrep.config.fields import known_keys
    from nstrep.config.schema import GROUPS, ExperimentConfig

    names = sorted(known_keys(ExperimentConfig))
    known = st.sampled_from([*names, *GROUPS])
    keys = st.one_of(
        *[known] * 6,
        st.sampled_from(["hydra.run.dir", "hydra.job.name", "hydra/launcher", "hydra.verbose"]),
        st.text(max_size=20),
        st.tuples(st.sampled_from(names), st.text("abz._-[]0", max_size=5)).map("".join),
    )
    scalars = st.one_of(
        st.sampled_from(HOSTILE),
        st.sampled_from(HOSTILE).map(quoted),
        st.integers().map(str),
        st.floats().map(str),
        st.text(max_size=40),
        st.booleans().map(str),
    )
    values = st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
            st.dictionaries(st.text("ab", max_size=3), inner, max_size=3).map(
                lambda items: "{" + ",".join(f"{k}: {v}" for k, v in items.items()) + "}"
            ),
            inner.map(lambda text: f"'{text}'"),
            inner.map(lambda text: f"choice({text},{text})"),
            inner.map(lambda text: f"cast({text})"),
        ),
        max_leaves=6,
    )
    pair = st.tuples(st.sampled_from(["", "", "", "+", "++", "~"]), keys, values)
    typed = pair.map(lambda item: f"{item[0]}{item[1]}={item[2]}")
    line = st.one_of(*[typed] * 8, st.text(max_size=30))
    found: list[list[str]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(st.lists(line, min_size=1, max_size=4))
    def collect(drawn: list[str]) -> None:
        found.append(drawn)

    collect()
    return found


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    make(Path(sys.argv[1]))
