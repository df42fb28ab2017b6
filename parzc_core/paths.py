"""Every path of the project, in one place; and the one way a file is written: whole or not at all.

Notebooks, committed results and statistics lie in a checkout of the repository, not in the installed package. The checkout is
PARZC_HOME if that is set, else the folder that the package lies in. Without one, results go below the working folder, and
`checkout` raises what is missing. PARZC_RESULTS, PARZC_FIGURES and PARZC_REPORT send what a run writes elsewhere (the
tests do); the committed statistics are always read from the checkout.
"""

import os
import tempfile
import warnings
from pathlib import Path

from parzc_core.errors import BadInput

PACKAGE = Path(__file__).resolve().parent
_ignored: set[str] = set()  # values of PARZC_DATA that were said to be no folder


def is_checkout(folder: Path) -> bool:
    """Whether the folder has what only a checkout has."""
    return (folder / "notebooks").is_dir() and (folder / "results").is_dir()


def _chosen_folder(variable: str) -> str:
    """What an environment variable names, "" where it is not set; a ~ in it, as files of settings leave it, is replaced."""
    return os.path.expanduser(os.environ.get(variable, ""))


_chosen = _chosen_folder("PARZC_HOME")
HOME = Path(_chosen).resolve() if _chosen else PACKAGE.parent if is_checkout(PACKAGE.parent) else None
ROOT = HOME or Path.cwd()
NOTEBOOKS = ROOT / "notebooks"
RESULTS = Path(_chosen_folder("PARZC_RESULTS") or ROOT / "results")
STATISTICS = ROOT / "results" / "statistics"
FIGURES = Path(_chosen_folder("PARZC_FIGURES") or ROOT / "figures")
REPORT = Path(_chosen_folder("PARZC_REPORT") or ROOT / "report")


def checkout(wanted: str) -> Path:
    """The checkout. wanted: what is looked for in it, such as "the notebooks". Raises BadInput where there is none."""
    remedy = "clone the repository (git clone), then set PARZC_HOME to its folder or install the package from it (pip install -e)"
    if HOME is None:
        raise BadInput(f"{wanted} lie in a checkout of the project, and the package is installed without one; {remedy}")
    if _chosen and not is_checkout(HOME):
        raise BadInput(
            f"PARZC_HOME is set to {HOME}, which is no checkout (no notebooks/ and results/), and {wanted} lie in one; {remedy}"
        )
    return ROOT


def cache_folder() -> Path:
    """Where downloads are kept: PARZC_CACHE, else XDG_CACHE_HOME/parzc, else ~/.cache/parzc. Raises BadInput without a home."""
    if chosen := _chosen_folder("PARZC_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if base.startswith("~"):  # a user without a home, as in a container
        raise BadInput("no home folder is known, in which downloads are kept; set PARZC_CACHE to a folder for them")
    return Path(base) / "parzc"


def data_folder() -> Path | None:
    """The user's folder of benchmark labels (environment variable PARZC_DATA), or None if it is not set or not there.

    That it is not there is said once a process.
    """
    chosen = _chosen_folder("PARZC_DATA")
    if not chosen:
        return None
    folder = Path(chosen)
    if folder.is_dir():
        return folder
    if chosen not in _ignored:
        _ignored.add(chosen)
        warnings.warn(f"PARZC_DATA is set to {chosen!r}, which is no folder: it is ignored", stacklevel=2)
    return None


def check_writable(path: Path, *inputs: Path | None) -> Path:
    """Before minutes of work: raises where `write_whole` would not be able to write this file, or ought not to.

    inputs: files that are read. Raises BadInput: no regular file, one of the inputs; OSError.
    """
    target = _target(path)
    for file in inputs:
        if file is not None and target.exists() and os.path.exists(file) and target.samefile(file):
            raise BadInput(f"got {path} as output, which is the input {file}; expected a file of its own")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f".{target.name}.", dir=target.parent):
        return path


def _target(path: Path) -> Path:
    """The file itself where it is a link. Raises BadInput for a device, a pipe or a socket, which a file would replace."""
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise BadInput(f"got {path} as output, which is a device or a pipe; expected a regular file, or a name that is free")
    return target


def _umask() -> int:
    """What new files are not to allow. It can only be read by setting it; on Linux it is told without."""
    status = Path("/proc/self/status")
    told = [line for line in status.read_text().splitlines() if line.startswith("Umask:")] if status.is_file() else []
    if told:
        return int(told[0].split()[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write under a temporary name in the same folder, then rename, so that a reader never sees half a file.

    A link stays, and what it leads to is written. Returns the path as given. Raises BadInput for a device or pipe, OSError.
    """
    path = Path(path)
    target = _target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives 0600; a result is there to be read
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
