from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from nstrep import assets
from nstrep.assets import __main__ as command
from nstrep.assets import catalogue, download
from nstrep.assets.catalogue import CATALOGUE, Asset, Source
from nstrep.base.errors import InputError

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 400
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
SHA1 = f"sha1:{hashlib.sha1(CONTENT).hexdigest()}"
GIT = "git:" + hashlib.sha1(b"blob 102400\0" + CONTENT).hexdigest()


def picture(colour="navy"):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


class Server:
    """Answers from ``pages``: path to bytes, or to a function that is given the handler."""

    def __init__(self):
        self.pages = {}
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                page = server.pages.get(self.path)
                if page is None:
                    self.send_error(404)
                elif callable(page):
                    page(self)
                else:
                    send(self, page)

            def log_message(self, *_arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def send(handler, body, *, length=None, status=200):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def truncated(handler):
    send(handler, CONTENT[:1000], length=len(CONTENT))


def silent(handler):
    send(handler, CONTENT[:1000], length=len(CONTENT))
    handler.wfile.flush()
    time.sleep(30)


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder of its own for each test, an environment of its own, and little patience."""
    monkeypatch.setenv("NSTREP_HOME", str(tmp_path))
    for name in ("NSTREP_MIRROR", "CI", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "TIMEOUT", (2, 0.8))
    monkeypatch.setattr(download, "RETRIES", 0)
    return tmp_path


@pytest.fixture
def add(monkeypatch):
    """Put an asset into the catalogue, for one test."""

    def add(*sources, name="net.bin", folder="models", substitutes=()):
        asset = Asset(f"{folder}/{name}", "A title", "A licence", sources, tuple(substitutes))
        monkeypatch.setitem(CATALOGUE, name, asset)
        return asset

    return add


def files(folder):
    """What a user sees."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    )


# --- fetching ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [SHA256, SHA1, GIT])
def test_fetch(server, add, place, checksum):
    server.pages["/a"] = CONTENT
    add(Source(f"{server.url}/a", checksum))
    assert assets.find("net.bin") is None
    path = assets.fetch("net.bin")
    assert path == place / "models/net.bin"
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o644
    assert assets.find("net.bin") == path
    assert files(place) == ["models/net.bin"]
    assert assets.fetch("net.bin") == path  # a second time it is there already
    assert server.asked == ["/a"]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (CONTENT[:-1] + b"!", "is not the published file: sha256:"),
        (truncated, "broke off"),
        (silent, "cannot be reached ("),
        (None, "answers 404 Not Found"),
        (lambda handler: send(handler, b"later", status=503), "answers 503"),
    ],
)
def test_a_bad_answer_leaves_nothing(server, add, place, page, message):
    if page is not None:
        server.pages["/a"] = page
    add(Source(f"{server.url}/a", SHA256))
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        assets.fetch("net.bin")
    assert time.monotonic() - start < 15
    text = str(caught.value)
    assert f"(127.0.0.1: {message}" in text
    assert text.endswith(
        f"get {server.url}/a on another machine and put the file with {SHA256} at "
        f"{place / 'models/net.bin'}"
    )
    assert "\n" not in text
    assert files(place) == []


def test_a_bad_answer_keeps_the_file_that_is_there(server, add, place):
    server.pages["/a"] = truncated
    add(Source(f"{server.url}/a", SHA256))
    (place / "models").mkdir()
    (place / "models/net.bin").write_bytes(b"another")
    with pytest.raises(InputError):
        assets.fetch("net.bin")
    assert (place / "models/net.bin").read_bytes() == b"another"
    server.pages["/a"] = CONTENT
    assert assets.fetch("net.bin").read_bytes() == CONTENT


def test_a_broken_transfer_is_begun_again(server, add, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 1)
    pages = [CONTENT, truncated]

    def page(handler):
        answer = pages.pop()
        answer(handler) if callable(answer) else send(handler, answer)

    server.pages["/a"] = page
    add(Source(f"{server.url}/a", SHA256))
    assert assets.fetch("net.bin").read_bytes() == CONTENT
    assert server.asked == ["/a", "/a"]


def test_the_second_address(server, add):
    server.pages["/b"] = CONTENT
    add(Source(f"{server.url}/a", SHA256), Source(f"{server.url}/b", SHA1))
    assert assets.fetch("net.bin").read_bytes() == CONTENT
    assert server.asked == ["/a", "/b"]


def test_no_network(add, place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
        add(Source(f"http://127.0.0.1:{taken.getsockname()[1]}/a", SHA256))
        with pytest.raises(InputError, match=r"127\.0\.0\.1: cannot be reached \(Connection ref"):
            assets.fetch("net.bin")
    assert files(place) == []


def test_what_an_interrupted_process_left_is_removed(server, add, place):
    server.pages["/a"] = CONTENT
    add(Source(f"{server.url}/a", SHA256))
    left = place / "models/.net.bin.partial"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"half of it")
    assert assets.fetch("net.bin").read_bytes() == CONTENT
    assert files(place) == ["models/net.bin"]


def test_a_file_inside_a_zip_archive(server, add, place):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.params", CONTENT)
    server.pages["/a.zip"] = stream.getvalue()
    add(Source(f"{server.url}/a.zip", SHA1, "x.params"))
    assert assets.fetch("net.bin").read_bytes() == CONTENT
    (place / "models/net.bin").unlink()
    for broken in (b"no zip", stream.getvalue()[:-30]):
        server.pages["/a.zip"] = broken
        with pytest.raises(InputError, match=r"is no zip archive with x\.params"):
            assets.fetch("net.bin")
    assert files(place) == []


def test_a_folder_that_cannot_be_written(server, add, place):
    server.pages["/a"] = CONTENT
    add(Source(f"{server.url}/a", SHA256))
    (place / "models").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        assets.fetch("net.bin")


# --- mirrors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["models/net.bin", "net.bin"])
@pytest.mark.parametrize("how", ["http", "file", "folder"])
def test_mirror(server, add, tmp_path, monkeypatch, layout, how):
    folder = tmp_path / "a mirror"
    (folder / layout).parent.mkdir(parents=True)
    (folder / layout).write_bytes(CONTENT)
    server.pages[f"/m/{layout}"] = CONTENT
    mirror = {"http": f"{server.url}/m/", "file": folder.as_uri(), "folder": str(folder)}[how]
    monkeypatch.setenv("NSTREP_MIRROR", mirror)
    add(Source(f"{server.url}/a", SHA256))
    assert assets.fetch("net.bin").read_bytes() == CONTENT
    assert "/a" not in server.asked


def test_a_mirror_is_not_trusted(server, add, tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/net.bin").write_bytes(b"other")
    monkeypatch.setenv("NSTREP_MIRROR", str(tmp_path / "mirror"))
    server.pages["/a"] = CONTENT
    add(Source(f"{server.url}/a", SHA256))
    assert assets.fetch("net.bin").read_bytes() == CONTENT


# --- pictures that are not pinned ----------------------------------------------------------------


def test_first_fetch_is_recorded_and_then_binding(server, add, place, caplog):
    caplog.set_level(logging.INFO)
    server.pages["/p"] = picture("navy")
    add(Source(f"{server.url}/p"), name="p.png", folder="inputs")
    path = assets.fetch("p.png")
    digest = hashlib.sha256(picture("navy")).hexdigest()
    record = json.loads((place / "inputs/CHECKSUMS.json").read_text())
    assert record == {"p.png": {"sha256": digest, "url": f"{server.url}/p"}}
    assert f"p.png is not pinned: sha256 {digest}, recorded in" in caplog.text
    assert assets.find("p.png") == path
    path.write_bytes(picture("gold"))
    assert assets.find("p.png") is None
    assert "is not the file of the first download" in caplog.text
    server.pages["/p"] = picture("gold")
    with pytest.raises(InputError, match=r"to accept it, remove p\.png from .*CHECKSUMS\.json"):
        assets.fetch("p.png")
    server.pages["/p"] = picture("navy")
    assert assets.fetch("p.png").read_bytes() == picture("navy")


def test_what_is_no_picture_is_refused(server, add, place):
    server.pages["/p"] = b"<html>Too many requests</html>"
    add(Source(f"{server.url}/p"), name="p.png", folder="inputs")
    with pytest.raises(InputError, match="is no picture that can be read"):
        assets.fetch("p.png")
    assert files(place) == []


def test_a_pinned_address_before_one_that_is_not(server, add):
    pinned = f"md5:{hashlib.md5(picture('navy')).hexdigest()}"
    add(
        Source(f"{server.url}/p", pinned),
        Source(f"{server.url}/q"),
        name="p.png",
        folder="inputs",
    )
    server.pages |= {"/p": picture("gold"), "/q": picture("red")}
    assert assets.fetch("p.png").read_bytes() == picture("red")
    assert assets.find("p.png") is not None


def test_a_damaged_record(server, add, place):
    server.pages["/p"] = picture()
    add(Source(f"{server.url}/p"), name="p.png", folder="inputs")
    (place / "inputs").mkdir()
    (place / "inputs/CHECKSUMS.json").write_text("{")
    with pytest.raises(InputError, match=r"CHECKSUMS\.json: is damaged"):
        assets.fetch("p.png")


# --- find, ensure, substitutes -------------------------------------------------------------------


def test_find_warns_of_a_file_that_is_not_the_published_one(add, place, caplog):
    add(Source("http://127.0.0.1:9/a", SHA256))
    (place / "models").mkdir()
    (place / "models/net.bin").write_bytes(b"mine")
    assert assets.find("net.bin") is None
    assert "net.bin is not the published file: sha256:" in caplog.text
    (place / "models/net.bin").write_bytes(CONTENT)
    assert assets.find("net.bin") == place / "models/net.bin"


def test_unknown_names():
    for function in (assets.find, assets.fetch, lambda name: assets.ensure(name, "never")):
        with pytest.raises(InputError, match=r"no asset 'vgg11'; there are vgg19\.params, IMG"):
            function("vgg11")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("policy", "terminal", "answer", "ci", "fetched"),
    [
        ("always", False, "", "", True),
        ("always", True, "", "true", False),
        ("never", True, "y\n", "", False),
        ("ask", True, "y\n", "", True),
        ("ask", True, "\n", "", False),
        ("ask", True, "", "", False),
        ("ask", False, "y\n", "", False),
        ("ask", True, "y\n", "true", False),
    ],
)
def test_ensure(server, add, monkeypatch, policy, terminal, answer, ci, fetched):
    server.pages["/a"] = CONTENT
    add(Source(f"{server.url}/a", SHA256))
    kind = Terminal if terminal else io.StringIO
    monkeypatch.setattr(sys, "stdin", kind(answer))
    monkeypatch.setattr(sys, "stderr", kind())
    monkeypatch.setenv("CI", ci)
    found = assets.ensure("net.bin", policy)
    assert (found is not None) == fetched
    assert server.asked == (["/a"] if fetched else [])
    if fetched:
        monkeypatch.setenv("CI", "true")
        assert assets.ensure("net.bin", "never") == found


def test_ensure_that_fails_is_a_line_of_the_log(server, add, caplog):
    add(Source(f"{server.url}/a", SHA256))
    assert assets.ensure("net.bin", "always") is None
    (entry,) = caplog.records
    assert "net.bin could not be fetched (127.0.0.1: answers 404" in entry.getMessage()


def test_a_substitute_is_taken_and_named(server, add, place, caplog):
    server.pages["/b"] = CONTENT
    add(Source(f"{server.url}/a", SHA256), substitutes=["other.bin"])
    add(Source(f"{server.url}/b", SHA256), name="other.bin")
    path = assets.obtain("net.bin")
    assert path == place / "models/other.bin"
    assert "net.bin could not be fetched" in caplog.text
    assert "instead of it: A title" in caplog.text
    assert assets.find("net.bin") == path


def test_keras_files_only_with_h5py(server, add, monkeypatch):
    server.pages["/b"] = CONTENT
    add(Source(f"{server.url}/a", SHA256), substitutes=["other.h5"])
    add(Source(f"{server.url}/b", SHA256), name="other.h5")
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError):
        assets.obtain("net.bin")
    assert server.asked == ["/a"]


# --- the command, and the catalogue --------------------------------------------------------------


def test_command(server, add, capsys, place):
    server.pages["/a"] = CONTENT
    add(Source(f"{server.url}/a", SHA256))
    add(Source(f"{server.url}/b", SHA256), name="gone.bin")
    assert command.main(["net.bin"]) == 0
    assert capsys.readouterr().out == f"net.bin: {place / 'models/net.bin'} (0.1 MB, checked)\n"
    assert command.main(["gone.bin", "net.bin"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("nstrep: error: gone.bin could not be fetched")
    assert captured.out.startswith("net.bin: ")
    assert command.main(["nothing"]) == 2
    assert "there is no asset 'nothing'" in capsys.readouterr().err


def test_command_without_names(add, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "obtain", lambda name: asked.append(name) or Path(__file__))
    assert command.main([]) == 0
    assert asked == ["vgg19.params", "IMG_4343.jpg", "starry_night.jpg"]
    asked.clear()
    assert command.main(["--all"]) == 0
    assert {"vgg19.params", "vgg16.params", "the_scream.jpg"} < set(asked)
    assert "vgg19-dcbb9e9d.pth" not in asked


def test_list(add, place, capsys):
    add(Source("http://127.0.0.1:9/a", SHA256))
    (place / "models").mkdir()
    (place / "models/net.bin").write_bytes(CONTENT)
    (place / "models/vgg19.params").write_bytes(b"no")
    assert command.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert f"net.bin\n  here: {place / 'models/net.bin'}\n  A title\n  A licence\n  {SHA256}" in out
    assert "vgg19.params\n  WRONG, is not the published file: git:" in out
    assert "impression_sunrise.jpg\n  missing: " in out
    assert "not pinned" in out


def test_two_processes_at_once(server, place):
    """The second waits for the first and takes its file: the server is asked once."""

    def slowly(handler):
        time.sleep(1.5)
        send(handler, picture())

    server.pages["/m/inputs/impression_sunrise.jpg"] = slowly
    environment = {**os.environ, "NSTREP_MIRROR": f"{server.url}/m", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nstrep.assets", "impression_sunrise.jpg"]
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.startswith(b"impression_sunrise.jpg: ")
    assert server.asked == ["/m/inputs/impression_sunrise.jpg"]
    assert files(place) == ["inputs/CHECKSUMS.json", "inputs/impression_sunrise.jpg"]


def test_download_sh(place):
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        [ROOT / "download.sh", "--list"], cwd="/", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("vgg19.params\n  missing: ")


LENGTHS = {"md5": 32, "sha1": 40, "git": 40, "sha256": 64}


@pytest.mark.parametrize("asset", list(CATALOGUE.values()), ids=list(CATALOGUE))
def test_catalogue(asset):
    assert asset.path in (f"models/{asset.name}", f"inputs/{asset.name}")
    assert asset.licence
    for source in asset.sources:
        assert source.url.startswith("https://")
        if source.checksum is None:
            assert asset.path.startswith("inputs/")  # a network is always pinned
        else:
            algorithm, digest = source.checksum.split(":")
            assert len(bytes.fromhex(digest)) * 2 == LENGTHS[algorithm]
    for substitute in asset.substitutes:
        assert catalogue.named(substitute).pinned


def test_a_home_that_does_not_exist_is_named_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NSTREP_HOME", str(tmp_path / "typo"))
    assert assets.find("vgg19.params") is None
    assert assets.find("starry_night.jpg") is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"NSTREP_HOME={tmp_path}/typo: there is no such folder")
