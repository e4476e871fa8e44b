"""Files are written whole or not at all, with one plain line when they cannot be."""

from __future__ import annotations

import hashlib
import os
import stat

import numpy as np
import pytest

from nstrep.base.errors import InputError, ResultsError
from nstrep.base.files import atomic_write, remove_unfinished, sha256_of
from nstrep.base.npz import save_npz
from nstrep.base.text import reason, shown


def test_sha256_equals_hashlib_over_several_blocks(tmp_path):
    data = bytes(range(256)) * 9000  # 2.3 MB: three blocks
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["missing", ".", "nul\0byte"])
def test_sha256_of_an_unreadable_file_is_one_line(tmp_path, name):
    with pytest.raises(InputError) as caught:
        sha256_of(os.path.join(tmp_path, name))
    assert "\n" not in str(caught.value)
    assert "cannot be read" in str(caught.value)
    assert tmp_path.name in str(caught.value)


def test_atomic_write_replaces_only_at_the_end(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with atomic_write(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".json"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_file_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def write_half(target, error):
    with atomic_write(target) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), ValueError("y")])
def test_a_failing_writer_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "a.png"
    target.write_text("old")
    with pytest.raises(type(error)):
        write_half(target, error)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert target.read_text() == "old"


def test_no_space_is_one_results_error_line(tmp_path):
    with pytest.raises(ResultsError) as caught:
        write_half(tmp_path / "a.png", OSError(28, "No space left on device"))
    assert str(caught.value) == f"{tmp_path}/a.png: cannot be written (No space left on device)"
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_folder_target_and_lost_temporary(tmp_path):
    def write(target):
        with atomic_write(tmp_path / target) as temporary:
            if target == "lost":
                temporary.unlink()

    (tmp_path / "folder").mkdir()
    for target in ("none/a.png", "folder", "lost"):
        with pytest.raises(ResultsError, match=f"{target}: cannot be written"):
            write(target)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_long_names_leave_room_for_the_temporary_one(tmp_path):
    target = tmp_path / ("n" * 251 + ".npz")
    save_npz(target, a=np.zeros(1))
    assert target.exists()


def test_save_npz_round_trip_and_equal_bytes(tmp_path):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.array("text")}
    save_npz(tmp_path / "a.npz", **arrays)
    save_npz(tmp_path / "b", **arrays)  # the name is kept as given
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as back:
        assert sorted(back.files) == ["x", "y"]
        np.testing.assert_array_equal(back["x"], arrays["x"])
        assert str(back["y"]) == "text"


def test_shown_and_reason_are_one_printable_line():
    assert shown("a/b c é.png") == "a/b c é.png"
    for odd in ("a\nb", "a\x1b[31m", os.fsdecode(b"\xff"), ""):
        assert shown(odd).isprintable()
        assert len(shown(odd)) > 0
    assert reason(ValueError("a\n b")) == "a b"
    assert reason(MemoryError()) == "MemoryError"
    assert reason(ValueError("x\x1by")).isprintable()
    assert len(reason(ValueError("long " * 1000))) <= 200


def test_what_a_killed_process_left_is_removed_and_a_living_ones_stays(tmp_path):
    (tmp_path / "below").mkdir()
    dead = tmp_path / "below/.0123456789abcdef.tmp.png"
    dead.write_bytes(b"half")
    with atomic_write(tmp_path / "below/a.png") as living:
        remove_unfinished(tmp_path)
        assert not dead.exists()
        living.write_bytes(b"whole")
    assert (tmp_path / "below/a.png").read_bytes() == b"whole"
    assert len(list((tmp_path / "below").iterdir())) == 1
