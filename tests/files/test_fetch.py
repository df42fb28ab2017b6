"""Pinned files: verified before use, fetched whole or not at all, and quick to give up without a network."""

import contextlib
import gzip
import hashlib
import http.server
import re
import threading
from collections import Counter
from types import SimpleNamespace

import pytest
import requests

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload, UnknownName
from parzc_core.files import fetch as files_fetch
from parzc_core.files import registry
from parzc_core.files.fetch import explain, fetch, locate
from parzc_core.files.registry import LabelFile

DATA = paths.data_folder()  # before the fixture below hides it
DOWNLOADS = [file for file in registry.FILES if file.url is not None]
GOOD = b"index,accuracy\n" + b"0,91.5\n" * 5000


def pin(name: str, url: str, data: bytes = GOOD) -> LabelFile:
    return LabelFile(
        name, url, hashlib.sha256(data).hexdigest(), len(data), "MIT", "test labels", ("table01",), "test accuracy"
    )


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PARZC_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    """A server on this machine whose path says how it behaves: /good, /corrupt, /truncated, /silent or not there."""
    requests_seen: Counter[str] = Counter()
    release = threading.Event()
    sent: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, body: bytes, length: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def pieces(self, parts: list[bytes], pause: float) -> None:
            """Without a length, a part at a time, until nobody listens."""
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for part in parts:
                    self.wfile.write(part)
                    sent.append(len(part))
                    release.wait(pause)

        def do_GET(self) -> None:
            requests_seen[self.command] += 1
            if "slow_good" in self.path and self.command == "GET":
                self.pieces([GOOD[:100], GOOD[100:]], 0.2)
            elif "good" in self.path:
                self.answer(GOOD, len(GOOD))
            elif "corrupt" in self.path:
                self.answer(GOOD[::-1], len(GOOD))
            elif "truncated" in self.path:
                self.answer(GOOD[:1000], len(GOOD))
            elif "endless" in self.path and self.command == "GET":
                self.pieces([bytes(1 << 16)] * 1000, 0)
            elif "trickle" in self.path and self.command == "GET":
                self.pieces([b"x"] * 10_000, 0.05)
            elif "inflated" in self.path and self.command == "GET":
                body = gzip.compress(bytes(10_000_000))
                self.send_response(200)
                self.send_header("Content-Encoding", "gzip")
                self.end_headers()
                self.wfile.write(body)
            elif "silent" in self.path and self.command == "GET":
                release.wait(30)
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{running.server_address[1]}", seen=requests_seen, sent=sent)
    release.set()
    running.shutdown()
    running.server_close()


def register(monkeypatch, *files: LabelFile) -> None:
    monkeypatch.setattr(registry, "FILES", files)


def left_in_cache() -> list[str]:
    return sorted(path.name for path in paths.cache_folder().rglob("*") if path.is_file())


# The registry


def test_registry_is_complete_and_pinned():
    names = [file.name for file in registry.FILES]
    assert len(names) == len(set(names))
    assert len(DOWNLOADS) == 17
    for file in DOWNLOADS:
        parts = file.url.split("/")
        assert parts[2] == "raw.githubusercontent.com"
        assert len(parts[5]) == 40  # a commit, not a branch: the address never changes its content
        assert file.licence in ("MIT", "Apache-2.0")


@pytest.mark.parametrize(
    "change",
    [
        *({"name": "/etc/file"}, {"name": "a/../b"}, {"name": "file"}, {"sha256": "abc"}, {"url": "ftp://x/y"}),
        *({"size": 0}, {"size": None}, {"sha256": None}),  # a download has both
        {"url": None},  # nobody would know where to get it
    ],
)
def test_a_bad_registry_line_is_refused(change):
    line = {"name": "a/b.csv", "url": "https://x/y", "sha256": "0" * 64, "size": 1}
    line |= {"licence": "MIT", "holds": "", "tables": (), "gain": ""}
    LabelFile(**line)
    LabelFile(**(line | {"url": None, "sha256": None, "size": None, "obtained": "its authors"}))
    with pytest.raises(BadInput):
        LabelFile(**(line | change))


def test_unknown_names_list_the_known_ones():
    for call in (locate, lambda name: fetch([name])):
        with pytest.raises(UnknownName, match=r"'nb101\.pkl'.*nats_cifar10_accuracies"):
            call("nb101.pkl")
    with pytest.raises(UnknownName, match=r"file to download 'mqbench101/PTQ-GT\.pkl'"):
        fetch([registry.MQ_BENCH_101])  # known, but without an address


# Finding a file


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    (folder / "labels").mkdir(parents=True)
    monkeypatch.setenv("PARZC_DATA", str(folder))
    return folder


def test_the_users_folder_comes_before_the_cache(monkeypatch, data_folder):
    register(monkeypatch, pin("labels/a.csv", "http://x/y"))
    assert locate("labels/a.csv") is None
    cached = paths.write_whole(paths.cache_folder() / "labels/a.csv", GOOD)
    assert locate("labels/a.csv") == cached
    mine = paths.write_whole(data_folder / "labels/a.csv", GOOD)
    assert locate("labels/a.csv") == mine


def test_a_wrong_file_of_the_user_is_named_and_left_alone(monkeypatch, data_folder):
    register(monkeypatch, pin("labels/a.csv", "http://x/y"))
    mine = paths.write_whole(data_folder / "labels/a.csv", GOOD[:-1])
    for _ in range(2):
        with pytest.raises(CorruptDownload) as caught:
            locate("labels/a.csv")
        for part in ("labels/a.csv", hashlib.sha256(GOOD).hexdigest(), hashlib.sha256(GOOD[:-1]).hexdigest()):
            assert part in str(caught.value)
        assert "PARZC_DATA: replace or remove it" in str(caught.value)
    assert [outcome.status for outcome in fetch()] == ["failed"]
    assert mine.read_bytes() == GOOD[:-1]
    paths.write_whole(mine, GOOD)  # same name, mended: what was remembered of the old one must not count
    assert locate("labels/a.csv") == mine


def test_a_wrong_file_in_the_cache_is_removed(monkeypatch):
    register(monkeypatch, pin("labels/a.csv", "http://x/y"))
    path = paths.write_whole(paths.cache_folder() / "labels/a.csv", GOOD[:-1])
    with pytest.raises(CorruptDownload, match="removed; get it again with `parzc data fetch`"):
        locate("labels/a.csv")
    assert not path.exists()
    assert locate("labels/a.csv") is None


def test_a_checksum_is_computed_once_per_state_of_the_file(monkeypatch, tmp_path):
    path = paths.write_whole(tmp_path / "file", GOOD)
    first = files_fetch.checksum(path)
    monkeypatch.setattr(files_fetch.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert files_fetch.checksum(path) == first == hashlib.sha256(GOOD).hexdigest()


# Fetching


def test_fetch_gets_what_is_missing_and_then_nothing(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/good/a"), pin("labels/b.csv", f"{server.url}/good/b"))
    assert [outcome.status for outcome in fetch(["labels/b.csv"])] == ["downloaded"]
    assert [outcome.status for outcome in fetch()] == ["downloaded", "present"]
    assert locate("labels/a.csv").read_bytes() == GOOD
    assert server.seen == {"HEAD": 2, "GET": 2}
    assert [outcome.status for outcome in fetch()] == ["present", "present"]
    assert server.seen == {"HEAD": 2, "GET": 2}
    assert left_in_cache() == ["a.csv", "b.csv"]


def test_fetch_replaces_a_damaged_file_in_the_cache(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/good"))
    path = paths.write_whole(paths.cache_folder() / "labels/a.csv", b"half a fi")
    assert [outcome.status for outcome in fetch()] == ["downloaded"]
    assert path.read_bytes() == GOOD


def test_a_corrupt_download_leaves_nothing_behind(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/corrupt"))
    (outcome,) = fetch()
    assert outcome.status == "failed"
    assert re.search(rf"labels/a\.csv.*{hashlib.sha256(GOOD[::-1]).hexdigest()}.*removed", outcome.reason)
    assert left_in_cache() == []


@pytest.mark.parametrize("bad", ["corrupt", "truncated", "endless", "trickle", "gone", "inflated"])
def test_after_a_bad_file_the_others_are_fetched(monkeypatch, server, bad):
    monkeypatch.setattr(files_fetch, "STARTING_SECONDS", 0.3)
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/{bad}"), pin("labels/b.csv", f"{server.url}/good"))
    first, second = fetch()
    assert (first.status, second.status) == ("failed", "downloaded")
    assert 0 < len(first.reason) < 500
    assert bad != "trickle" or re.search(r"only \d+ bytes came in", first.reason)
    assert left_in_cache() == ["b.csv"]


def test_a_download_stops_at_the_pinned_size(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/endless"))
    (outcome,) = fetch()
    assert f"more than the pinned {len(GOOD):,} bytes are sent" in outcome.reason
    assert sum(server.sent) < 30_000_000  # the host was not listened to for long


def test_progress_extends_the_time(monkeypatch, server):
    """Slower than the start allows, but above the least rate: it goes on."""
    monkeypatch.setattr(files_fetch, "STARTING_SECONDS", 0.0)
    monkeypatch.setattr(files_fetch, "SLOWEST", 0.001)
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/slow_good"))
    assert [outcome.status for outcome in fetch()] == ["downloaded"]


def test_a_bad_file_of_the_user_does_not_stop_the_next(monkeypatch, server, data_folder):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/good"), pin("labels/b.csv", f"{server.url}/good"))
    paths.write_whole(data_folder / "labels" / "a.csv", b"other")
    first, second = fetch()
    assert (first.status, second.status) == ("failed", "downloaded")
    assert "it lies in PARZC_DATA" in first.reason


def test_a_truncated_download_leaves_nothing_behind_and_does_not_stop_the_run(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/truncated"))
    (outcome,) = fetch()
    assert (outcome.status, "broke off" in outcome.reason) == ("failed", True)
    assert left_in_cache() == []


def test_a_file_that_is_gone_does_not_stop_the_next(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/gone"), pin("labels/b.csv", f"{server.url}/good"))
    gone, good = fetch()
    assert (gone.status, good.status) == ("failed", "downloaded")
    assert "404" in gone.reason


def test_a_full_or_forbidden_disk_is_reported(monkeypatch, server):
    register(monkeypatch, pin("labels/a.csv", f"{server.url}/good"))
    paths.write_whole(paths.cache_folder() / "labels", b"a file where the folder should be")
    (outcome,) = fetch()
    assert (outcome.status, bool(outcome.reason)) == ("failed", True)


def test_offline_costs_one_short_probe_for_all_files(monkeypatch):
    """Not a matter of the clock: what is asked of the network, and with which timeouts, is counted."""
    asked: list[tuple[str, float]] = []

    def refuse(method):
        def call(url, timeout=None, **_):
            asked.append((method, timeout))
            raise requests.ConnectionError("no route")

        return call

    monkeypatch.setattr(requests, "head", refuse("HEAD"))
    monkeypatch.setattr(requests, "get", refuse("GET"))
    outcomes = fetch()  # the real files, all on one host
    assert [outcome.status for outcome in outcomes] == ["offline"] * len(DOWNLOADS)
    assert asked == [("HEAD", files_fetch.PROBE_SECONDS)]
    assert files_fetch.PROBE_SECONDS + files_fetch.SILENCE_SECONDS < 10
    text = explain(outcomes)
    assert all(file.name in text for file in DOWNLOADS)
    assert "`parzc data fetch`" in text
    assert "PARZC_DATA" in text
    assert f"0 of {len(DOWNLOADS)}" in text


def test_the_first_failure_skips_other_hosts_too(monkeypatch):
    asked: list[str] = []

    def refuse(url, **_):
        asked.append(url)
        raise requests.ConnectTimeout

    monkeypatch.setattr(requests, "head", refuse)
    register(monkeypatch, *(pin(f"labels/{i}.csv", f"http://host{i}/file") for i in range(5)))
    assert {outcome.status for outcome in fetch()} == {"offline"}
    assert asked == ["http://host0/file"]


def test_a_name_look_up_that_hangs_is_given_up(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(files_fetch, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(requests, "head", lambda *_, **__: release.wait(30))  # no timeout reaches a resolver
    register(monkeypatch, pin("labels/a.csv", "http://host/file"), pin("labels/b.csv", "http://host/file"))
    outcomes = fetch()
    release.set()
    assert ["no answer within" in outcome.reason for outcome in outcomes] == [True, True]


def test_a_server_that_falls_silent_is_given_up_once(monkeypatch, server):
    monkeypatch.setattr(files_fetch, "SILENCE_SECONDS", 0.2)
    files = (pin(f"labels/{i}.csv", f"{server.url}/silent") for i in range(4))
    register(monkeypatch, *files)
    assert {outcome.status for outcome in fetch()} == {"offline"}
    assert server.seen == {"HEAD": 1, "GET": 1}
    assert left_in_cache() == []


def test_a_port_that_nobody_listens_on(monkeypatch):
    register(monkeypatch, pin("labels/a.csv", "http://127.0.0.1:9/file"))
    (outcome,) = fetch()
    assert (outcome.status, "cannot connect" in outcome.reason) == ("offline", True)


# The published files themselves


@pytest.mark.skipif(DATA is None, reason="PARZC_DATA is not set to a folder")
@pytest.mark.parametrize("file", registry.FILES, ids=lambda file: file.name)
def test_files_at_hand_match_the_registry(monkeypatch, file):
    monkeypatch.setenv("PARZC_DATA", str(DATA))
    path = locate(file.name)
    if path is None:
        pytest.skip(f"{file.name} is not in PARZC_DATA")
    assert path.stat().st_size == (file.size or path.stat().st_size)
