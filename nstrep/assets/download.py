"""Download one file with pooch, or copy it from a folder."""

from __future__ import annotations

import logging
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

TIMEOUT = (5, 15)
"""Seconds: to connect, and between two packets."""

RETRIES = 1
"""Attempts after a transfer that broke off."""


def download(source: Source, folder: Path) -> Path:
    """Bring a file to a folder, out of its zip archive if it is in one.

    Args:
        source: its address: http, https or file.
        folder: empty or missing.

    Raises:
        RefusedError: the address has no such file, or the transfer failed.
        OSError: the file cannot be written.

    """
    address = urlsplit(source.url)
    if address.scheme == "file":
        original = Path(url2pathname(address.path))
        if not original.is_file():
            raise RefusedError(f"has no {original}")
        folder.mkdir(exist_ok=True)
        return Path(shutil.copyfile(original, folder / "file"))
    pooch.get_logger().setLevel(logging.WARNING)
    downloader = _Downloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT,
        # Wikimedia refuses programs that do not identify themselves.
        headers={"User-Agent": f"nstrep/{__version__}"},
    )
    cache = pooch.create(
        folder, base_url="", registry={"file": None}, urls={"file": source.url},
        retry_if_failed=RETRIES,
    )  # fmt: skip
    try:
        file = Path(cache.fetch("file", downloader=downloader))
        if source.member:
            (file,) = map(Path, pooch.Unzip(members=[source.member])(str(file), "download", cache))
    except requests.RequestException as error:
        raise RefusedError(f"broke off ({reason(error)})") from error
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError) as error:
        raise RefusedError(f"is no zip archive with {source.member} ({reason(error)})") from error
    file.chmod(0o644)  # pooch makes temporary files that only their owner can read
    return file


class _Downloader(pooch.HTTPDownloader):
    """Gives up where a second attempt would fail too: pooch repeats any other failure."""

    def __call__(self, *arguments: object, **options: object) -> bool | None:
        try:
            return super().__call__(*arguments, **options)
        except requests.HTTPError as error:
            response = error.response
            raise RefusedError(f"answers {response.status_code} {response.reason}") from error
        except requests.Timeout as error:
            raise RefusedError(f"no answer within {TIMEOUT[1]} s") from error
        except requests.ConnectionError as error:
            raise RefusedError(f"cannot be reached ({_system_error(error)})") from error


def _system_error(error: BaseException) -> str:
    """The operating system's words for a failed connection, which requests wraps several times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return reason(error)
