"""Texts and arrays of others: data, or one plain line."""

import ast
import io
import json
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nstrep
from nstrep import denoise
from nstrep.base import command_line
from nstrep.base.errors import InputError, NstrepError
from nstrep.base.npz import FormatError, open_npz
from nstrep.base.untrusted import read_json, read_yaml
from nstrep.config.fields import flatten
from tests.faults.fuzz_mutate import zeros_npz


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']", "a: !!timestamp x", "a: !!bool x",
        "a: !!int ''", "a: !x b", "a: &a [1]\nb: *a",
        "a: 2001-02-30", "[" * 10_000, "a: b\n" * 100_000, "a: [", "? [1] : 2", "\x00",
        "a: " + "[" * 25 + "]" * 25,
    ],
)  # fmt: skip
def test_yaml_that_is_more_than_data_is_refused(text):
    with pytest.raises(ValueError, match=r".+") as caught:
        read_yaml(text)
    assert str(caught.value).isprintable()


def test_plain_yaml_and_json_are_read():
    tree = {"a": [1, 2.5, None, True], "b": {"c": "${oc.env:HOME}", "d": "2001-01-01 x"}}
    assert read_yaml("a: [1, 2.5, null, true]\nb: {c: '${oc.env:HOME}', d: 2001-01-01 x}") == tree
    assert read_json(json.dumps(tree)) == tree
    assert list(flatten(tree))[-2:] == [("b.c", "${oc.env:HOME}"), ("b.d", "2001-01-01 x")]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[" * 25 + "]" * 25, "9" * 5000 + "x"])
def test_json_that_is_damaged_or_deep_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        read_json(text)


def npy_header(shape, kind="<f4"):
    stream = io.BytesIO()
    about = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def test_a_zip_bomb_is_measured_before_it_is_unpacked(tmp_path):
    """4 GB of zeros in 4 MB, as its header says: NumPy would unpack them."""
    shape = (2**15, 2**15, 1)
    path = tmp_path / "raw.npz"
    path.write_bytes(zeros_npz(npy_header(shape), 2**32 - 2**21, ["rgb01.npy"]))
    with pytest.raises(InputError, match="raw.npz: is not the raw result of a run"):
        denoise.load_raw(tmp_path)
    shape = (20_000, 20_000, 3)
    path.write_bytes(zeros_npz(npy_header(shape, "<f2"), 2_400_000_000, ["rgb01.npy"]))
    with open_npz(path) as stored:
        assert stored["rgb01"].shape == shape
    with pytest.raises(InputError, match=r"holds float16 of shape \(20000, 20000, 3\)"):
        denoise.load_raw(tmp_path)


def test_zeros_npz_is_what_numpy_reads(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(zeros_npz(npy_header((1000, 300)), 1_200_000, ["a.npy", "b.npy"]))
    assert zipfile.ZipFile(path).testzip() is None
    with np.load(path) as stored:
        assert all(not stored[name].any() and stored[name].shape == (1000, 300) for name in "ab")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "raw.npz")
    with pytest.raises(InputError, match="is not a regular file"):
        denoise.load_raw(tmp_path)
    with pytest.raises(FormatError, match="there is no such file"), open_npz(tmp_path / "b.npz"):
        pass


def test_a_message_is_one_line_whatever_it_quotes():
    error = NstrepError("a\nnstrep: error: b\x1b[31m\u202e" + "x" * 10_000)
    assert str(error).startswith(r"a\nnstrep: error: b\x1b[31m\u202ex")
    assert str(error).isprintable()
    assert len(str(error)) <= 4000


def test_a_log_line_is_one_line_whatever_it_quotes():
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s: done", ("a\nb\x1b[1m",), None)
    assert command_line.LineFormatter().format(record) == r"a\nb\x1b[1m: done"


# Readers that can run code from a file; NumPy's does without allow_pickle=False.
EXECUTING = {
    "eval", "exec", "compile", "pickle.load", "pickle.loads", "joblib.load", "marshal.loads",
    "shelve.open", "torch.load", "mx.nd.load", "mx.sym.load", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "np.load",
}  # fmt: skip
ALLOWED = {("base/untrusted.py", "yaml.load")}  # with a loader derived from yaml.SafeLoader


def test_no_reader_can_run_code_from_a_file():
    package = Path(nstrep.__file__).parent
    found = set()
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or (name := ast.unparse(node.func)) not in EXECUTING:
                continue
            plain = [word for word in node.keywords if word.arg == "allow_pickle"]
            if name == "np.load" and plain and ast.unparse(plain[0].value) == "False":
                continue
            found.add((str(file.relative_to(package)), name))
    assert found == ALLOWED
