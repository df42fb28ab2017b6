"""Label files: whether each is on this machine, and how it is fetched. `registry.FILES` lists them.

    path = locate("nasbench101/accuracies.pkl.gz")  # None if it is not here
    print(explain(fetch()))

A file is looked for in the folder that PARZC_DATA names, then in the cache of downloads. It is used only if its sha256 is
the pinned one. `fetch` downloads what is missing; without a network it gives up within seconds and raises nothing.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from tqdm import tqdm

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload, UnknownName
from parzc_core.files import registry
from parzc_core.files.json_files import brief
from parzc_core.files.registry import LabelFile

COMMAND = "parzc data fetch"
# Offline costs one probe: name look-up, connection and answer together may take PROBE seconds, then all is skipped.
# A network that dies after the probe costs at most SILENCE more. Both together stay under ten seconds.
PROBE_SECONDS = 4.0
SILENCE_SECONDS = 5.0
# A download that trickles is given up too: it has STARTING_SECONDS and, for what has arrived, a second for SLOWEST bytes.
STARTING_SECONDS = 30.0
SLOWEST = 20_000
_CHUNK = 1 << 16
_checksums: dict[tuple[str, int, int], str] = {}


def checksum(path: Path) -> str:
    """sha256 of a file in hex; remembered as long as its size and modification time stay the same."""
    with _readable(path):
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns)
        if key not in _checksums:
            with open(path, "rb") as file:
                _checksums[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _checksums[key]


def check_readable(path: Path) -> None:
    """Raises BadInput, naming file and folder, for a file that this user may not read."""
    with _readable(path), open(path, "rb"):
        pass


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Inside, what the system refuses (permission, a broken disk) is BadInput that names file and folder."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"cannot read {path.name} in {path.parent}: {error.strerror or error}; change its permissions, or remove it"
        ) from None


def places(file: LabelFile) -> dict[str, Path]:
    """Where the file may lie, in the order of looking: "PARZC_DATA" if that names a folder, "cache" if it can be fetched."""
    mine = paths.data_folder()
    theirs = {"PARZC_DATA": mine / file.name} if mine else {}
    return theirs | ({"cache": paths.cache_folder() / file.name} if file.url is not None else {})


def found(file: LabelFile) -> tuple[str, Path] | None:
    """(place, path) of the first copy, verified or not; None if it is not here."""
    return next(((place, path) for place, path in places(file).items() if os.path.isfile(path)), None)


def is_good(file: LabelFile, path: Path) -> bool:
    """Whether this is the pinned file; True where no checksum is known."""
    return file.sha256 is None or checksum(path) == file.sha256


def locate(name: str) -> Path | None:
    """Path of the verified file: in PARZC_DATA, else in the cache, else None.

    Raises UnknownName; BadInput if it cannot be read; CorruptDownload if the file is there but its checksum is not the
    pinned one. The user's own file is left alone; a bad file in the cache is removed, so that the next fetch gets it anew.
    """
    file = registry.entry(name)
    at = found(file)
    if at is None:
        return None
    place, path = at
    check_readable(path)
    _verify(path, file, downloaded=place == "cache")
    return path


def _verify(path: Path, file: LabelFile, downloaded: bool) -> None:
    """Raises CorruptDownload unless this is the pinned file. downloaded: by this project, so that a bad one is removed."""
    if is_good(file, path):
        return
    got, size = checksum(path), path.stat().st_size
    if downloaded:
        path.unlink()
        remedy = f"it was removed; get it again with `{COMMAND}`"
    else:
        remedy = "it lies in PARZC_DATA: replace or remove it" + (f", then `{COMMAND}` gets it" if file.url else "")
    expected = f"{file.sha256}" + (f" ({file.size:,} bytes)" if file.size is not None else "")
    raise CorruptDownload(
        f"{file.name} is not the pinned file: got sha256 {got} ({size:,} bytes), expected {expected}; {remedy}"
    )


@dataclass(frozen=True)
class Outcome:
    """About one file. status: "present" (was here), "downloaded", "offline" or "failed"; reason: why."""

    file: LabelFile
    status: str
    reason: str = ""


def fetch(names: Iterable[str] | None = None) -> list[Outcome]:
    """Download the files that are missing (all with an address, or those named) into the cache; one Outcome each, in order.

    A progress bar is shown on a terminal. A file appears whole and verified, or not at all. One short probe a host
    decides whether there is a network; after the first connection failure the rest is skipped, so being offline costs
    less than ten seconds in all and raises nothing: `explain` says what is missing and which command gets it later.
    What arrives (or lies in PARZC_DATA) and is not the pinned file, is larger or trickles is "failed", and the next one follows.
    Raises UnknownName, also for a file without an address.
    """
    reachable: set[str] = set()
    outcomes: list[Outcome] = []
    trouble = ""
    for file, url in _chosen(names):
        try:
            if _is_here(file):
                outcomes.append(Outcome(file, "present"))
                continue
        except (CorruptDownload, BadInput) as error:  # the user's own file: theirs to replace
            outcomes.append(Outcome(file, "failed", str(error)))
            continue
        host = urlsplit(url).netloc
        if not trouble and host not in reachable:
            trouble = _probe(url)
            reachable.add(host)
        if trouble:
            outcomes.append(Outcome(file, "offline", trouble))
            continue
        try:
            _download(file, url)
            outcomes.append(Outcome(file, "downloaded"))
        except (requests.HTTPError, CorruptDownload) as error:  # the host answers, but not with this file: the next may be there
            outcomes.append(Outcome(file, "failed", brief(error, 400)))
        except requests.exceptions.ChunkedEncodingError as error:
            outcomes.append(Outcome(file, "failed", f"{host}: {_brief(error)}"))
        except requests.RequestException as error:
            trouble = f"{host}: {_brief(error)}"
            outcomes.append(Outcome(file, "offline", trouble))
        except OSError as error:  # the disk: full, or not ours to write on
            outcomes.append(Outcome(file, "failed", str(error)))
    return outcomes


def _chosen(names: Iterable[str] | None) -> list[tuple[LabelFile, str]]:
    """(file, address) of all that can be downloaded, or of those named. Raises UnknownName."""
    there = {file.name: (file, file.url) for file in registry.FILES if file.url is not None}
    if names is None:
        return list(there.values())
    names = list(names)
    for name in names:
        if name not in there:
            raise UnknownName.of("file to download", name, there)
    return [there[name] for name in names]


def explain(outcomes: Iterable[Outcome]) -> str:
    """A few lines for people: how many files are here, what is missing and why, and which command gets it later."""
    outcomes = list(outcomes)
    missing = [outcome for outcome in outcomes if outcome.status in ("offline", "failed")]
    new = sum(outcome.status == "downloaded" for outcome in outcomes)
    lines = [f"{len(outcomes) - len(missing)} of {len(outcomes)} pinned files are here ({new} downloaded now)."]
    for outcome in missing:
        lines.append(f"  missing: {outcome.file.name} ({(outcome.file.size or 0) / 1e6:.1f} MB) - {outcome.reason}")
    if missing:
        lines.append(f"Get them later with `{COMMAND}`, or set PARZC_DATA to a folder that holds them.")
        lines.append("The run goes on with what is here; its rows say which labels judged them.")
    return "\n".join(lines)


def _is_here(file: LabelFile) -> bool:
    """Verified and here. A bad copy in the cache is dropped on the way: it is about to be fetched again."""
    try:
        return locate(file.name) is not None
    except CorruptDownload:
        theirs = places(file).get("PARZC_DATA")
        if theirs is not None and theirs.is_file():
            raise
        return False


def _probe(url: str) -> str:
    """Empty if the host answers anything at all; else what went wrong, after at most PROBE_SECONDS.

    In a thread of its own, because no timeout covers the look-up of a name, and a host of many addresses tries each.
    """
    result = [f"{urlsplit(url).netloc}: no answer within {PROBE_SECONDS:g} seconds"]

    def ask() -> None:
        try:
            requests.head(url, timeout=PROBE_SECONDS, allow_redirects=False)
            result[0] = ""
        except requests.RequestException as error:
            result[0] = f"{urlsplit(url).netloc}: {_brief(error)}"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return result[0]


def _brief(error: Exception) -> str:
    """The kind of a network error; its text is a page of nested objects."""
    return {
        "ConnectionError": "cannot connect (offline?)",
        "ConnectTimeout": "cannot connect (offline?)",
        "ProxyError": "the proxy does not let through",
        "SSLError": "its certificate is not accepted",
        "ReadTimeout": f"silent for {SILENCE_SECONDS:g} seconds",
        "ChunkedEncodingError": "the connection broke off",
    }.get(type(error).__name__, type(error).__name__)


def _download(file: LabelFile, url: str) -> None:
    """Get one file into the cache under a temporary name; verify; rename."""
    pooch.get_logger().setLevel("WARNING")

    def get_and_verify(address: str, output_file: str, _: object) -> None:
        with open(output_file, "wb") as there:
            for chunk in _chunks(file, address):
                there.write(chunk)
        _verify(Path(output_file), file, downloaded=True)

    target = paths.cache_folder() / file.name
    pooch.retrieve(url, f"sha256:{file.sha256}", target.name, target.parent, downloader=get_and_verify)


def _read(answer: requests.Response) -> bytes:
    """What has arrived, without waiting for a whole chunk of a trickle; empty at the end. Errors are those of requests."""
    try:
        return answer.raw.read1(_CHUNK, decode_content=True)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError from error


def _chunks(file: LabelFile, url: str) -> Iterator[bytes]:
    """What the host sends, no more than the pinned size of it. Raises CorruptDownload for more, or for a trickle."""
    received, started = 0, time.monotonic()
    bar = tqdm(total=file.size, unit="B", unit_scale=True, desc=file.name, disable=None)
    with bar, requests.get(url, stream=True, timeout=SILENCE_SECONDS) as answer:
        answer.raise_for_status()
        while chunk := _read(answer):
            received += len(chunk)
            if file.size is not None and received > file.size:
                raise CorruptDownload(f"{file.name}: more than the pinned {file.size:,} bytes are sent; nothing of it was kept")
            spent = time.monotonic() - started
            if spent > STARTING_SECONDS + received / SLOWEST:
                raise CorruptDownload(f"{file.name}: only {received:,} bytes came in {spent:.0f} seconds; try again later")
            yield chunk
            bar.update(len(chunk))
    if file.size is not None and received < file.size:
        raise requests.exceptions.ChunkedEncodingError
