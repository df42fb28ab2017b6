"""Every path of the project, in one place; and the one way a file is written: whole or not at all.

Notebooks, committed results and statistics lie in a checkout of the repository, not in the installed package. The checkout is
PARZC_HOME if that is set, else the folder that the package lies in. Without one, results go below the working folder, and
`checkout` raises what is missing. PARZC_RESULTS, PARZC_FIGURES and PARZC_REPORT send what a run writes elsewhere (the
tests do); the committed statistics are always read from the checkout.
"""

import os
import tempfile
from pathlib import Path

from parzc_core.errors import BadInput

PACKAGE = Path(__file__).resolve().parent


def is_checkout(folder: Path) -> bool:
    """Whether the folder has what only a checkout has."""
    return (folder / "notebooks").is_dir() and (folder / "results").is_dir()


_chosen = os.environ.get("PARZC_HOME")
HOME = Path(_chosen).resolve() if _chosen else PACKAGE.parent if is_checkout(PACKAGE.parent) else None
ROOT = HOME or Path.cwd()
NOTEBOOKS = ROOT / "notebooks"
RESULTS = Path(os.environ.get("PARZC_RESULTS") or ROOT / "results")
STATISTICS = ROOT / "results" / "statistics"
FIGURES = Path(os.environ.get("PARZC_FIGURES") or ROOT / "figures")
REPORT = Path(os.environ.get("PARZC_REPORT") or ROOT / "report")


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
    """Where downloads are kept: PARZC_CACHE, else XDG_CACHE_HOME/parzc, else ~/.cache/parzc."""
    if chosen := os.environ.get("PARZC_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "parzc"


def data_folder() -> Path | None:
    """The user's folder of benchmark labels (environment variable PARZC_DATA), or None if it is not set or not there."""
    chosen = os.environ.get("PARZC_DATA")
    folder = Path(chosen) if chosen else None
    return folder if folder is not None and folder.is_dir() else None


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write under a temporary name in the same folder, then rename, so that a reader never sees half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp gives 0600; a result is there to be read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
