"""Bring one file from an address to this machine, within limits, or say in a few words why not."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from nstrep import __version__
from nstrep.base.text import reason

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MISSING = (401, 403, 404, 410)


@dataclass(frozen=True)
class Limits:
    """When to give up. Seconds, bytes."""

    connect: float = 5.0
    read: float = 15.0
    """Longest silence."""
    window: float = 30.0
    window_bytes: int = 256 * 1024
    """What must arrive in each window: less is too slow to wait for."""
    retries: int = 1
    """How often a broken transfer is begun again."""
    max_bytes: int = 2_000_000_000


class TransferError(Exception):
    """Nothing usable came from an address. The message is the rest of a line about it."""


def transfer(url: str, folder: Path, *, title: str, limits: Limits) -> Path:
    """Download a file.

    Args:
        url: http, https or file.
        folder: where to put it; made if it is not there.
        title: for the progress bar, which is shown on a terminal.
        limits: when to give up.

    Raises:
        TransferError: the address has no such file, or it came too slowly or in part.
        OSError: the file cannot be written.

    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    puppy = pooch.Pooch(
        path=folder,
        base_url="",
        registry={"file": None},  # the caller compares the checksum: pooch has no git blob ids
        urls={"file": url},
        retry_if_failed=limits.retries,
    )
    try:
        return Path(puppy.fetch("file", downloader=_Downloader(title, limits)))
    except ValueError as error:  # what pooch retries
        raise TransferError(str(error)) from error


class _Downloader:
    """A downloader for pooch that gives up on a server that drips.

    pooch's own reads blocks of a fixed size, and waits for each as long as bytes trickle in.
    """

    def __init__(self, title: str, limits: Limits) -> None:
        self.title = title
        self.limits = limits

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download. ValueError lets pooch try again, TransferError does not."""
        if urlsplit(url).scheme == "file":
            source = Path(url2pathname(urlsplit(url).path))
            if not source.is_file():
                raise TransferError(f"has no {source}")
            shutil.copyfile(source, output_file)
            return
        import requests
        import urllib3

        try:
            self.get(url, output_file)
        except requests.exceptions.ReadTimeout as error:
            raise TransferError(f"no answer within {self.limits.read:g} s") from error
        except requests.exceptions.ConnectionError as error:
            raise TransferError(f"cannot be reached ({_cause(error)})") from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TransferError(f"nothing came for {self.limits.read:g} s") from error
        except (urllib3.exceptions.HTTPError, requests.exceptions.RequestException) as error:
            raise ValueError(f"broke off ({reason(error)})") from error

    def get(self, url: str, output_file: str) -> None:
        """Download over http."""
        import requests
        from tqdm import tqdm

        limits = self.limits
        # Wikimedia refuses programs that do not say who they are. Unpacked bytes would not match
        # the length that the server announces.
        headers = {"User-Agent": f"nstrep/{__version__}", "Accept-Encoding": "identity"}
        with requests.Session() as session:
            if urlsplit(url).hostname in LOOPBACK:
                session.trust_env = False  # a proxy cannot see this machine
            response = session.get(
                url, stream=True, headers=headers, timeout=(limits.connect, limits.read)
            )
            with response, open(output_file, "wb") as file:
                if response.status_code in MISSING:
                    raise TransferError(f"answers {response.status_code} {response.reason}")
                if response.status_code != 200:
                    raise ValueError(f"answers {response.status_code} {response.reason}")
                announced = response.headers.get("Content-Length", "")
                total = int(announced) if announced.isdecimal() else None
                pace = _Pace(limits)
                with tqdm(
                    desc=self.title,
                    total=total,
                    unit="B",
                    unit_scale=True,
                    disable=not sys.stderr.isatty(),
                ) as bar:
                    # read1: what has arrived, without waiting for a block to be full.
                    while block := response.raw.read1(1 << 18):
                        file.write(block)
                        bar.update(len(block))
                        pace.count(len(block))
        if total is not None and pace.total != total:
            raise ValueError(f"sent {pace.total} of {total} bytes")


class _Pace:
    """Counts what arrives and gives up if it is too little or too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.total = 0
        self.window_total = 0
        self.window_start = time.monotonic()

    def count(self, size: int) -> None:
        self.total += size
        self.window_total += size
        if self.total > self.limits.max_bytes:
            raise TransferError(f"sends more than {self.limits.max_bytes} bytes")
        elapsed = time.monotonic() - self.window_start
        if elapsed >= self.limits.window:
            if self.window_total < self.limits.window_bytes:
                raise TransferError(f"too slow: {self.window_total} bytes in {elapsed:.0f} s")
            self.window_start += elapsed
            self.window_total = 0


def _cause(error: BaseException) -> str:
    """Return the operating system's words for a failed connection."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
