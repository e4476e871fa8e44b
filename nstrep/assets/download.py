"""Download one file, or copy it from a folder."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pooch
import requests

from nstrep import __version__
from nstrep.assets.catalogue import Source
from nstrep.assets.checksums import RefusedError
from nstrep.base.text import reason

TIMEOUT = (5, 15)  # seconds: to connect, and between two packets
RETRIES = 1  # attempts after a transfer that broke off


def download(source: Source, folder: Path) -> Path:
    """Bring a file to a new folder, out of its zip archive if it is in one.

    Raises RefusedError if the address (http, https or file) has no such file or the transfer fails,
    OSError if the file cannot be written.
    """
    folder.mkdir()
    file = folder / "file"
    address = urlsplit(source.url)
    if address.scheme == "file":
        original = Path(url2pathname(address.path))
        if not original.is_file():
            raise RefusedError(f"has no {original}")
        return Path(shutil.copyfile(original, file))
    for attempts_left in range(RETRIES, -1, -1):
        try:
            _download(source.url, file)
            break
        except requests.RequestException as error:
            if attempts_left == 0:
                raise RefusedError(f"broke off ({reason(error)})") from error
    if not source.member:
        return file
    try:
        with zipfile.ZipFile(file) as archive:
            return Path(archive.extract(source.member, folder))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, RuntimeError) as error:
        raise RefusedError(f"is no zip archive with {source.member} ({reason(error)})") from error


def _download(url: str, file: Path) -> None:
    """Raises RefusedError where a second attempt would fail too."""
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT,
        # Wikimedia refuses programs that do not identify themselves.
        headers={"User-Agent": f"nstrep/{__version__}"},
    )
    try:
        downloader(url, str(file), None)
    except requests.HTTPError as error:
        response = error.response
        raise RefusedError(f"answers {response.status_code} {response.reason}") from error
    except requests.Timeout as error:
        raise RefusedError(f"no answer within {TIMEOUT[1]} s") from error
    except requests.ConnectionError as error:
        cause: BaseException = error  # requests wraps the operating system's error several times
        while not getattr(cause, "strerror", None) and (cause.__cause__ or cause.__context__):
            cause = cause.__cause__ or cause.__context__
        raise RefusedError(f"cannot be reached ({reason(cause)})") from error
