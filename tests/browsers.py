"""A headless Chromium that a test drives over its DevTools, and servers that it looks at."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from parzc_core.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONGEST = 900.0  # seconds until something is given up; a test waits for what it expects, not for a time


class Page:
    """One page of a browser."""

    def __init__(self, address: str):
        self._socket = websocket.create_connection(address, timeout=LONGEST)
        self._count = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a DevTools command. Raises AssertionError for one that fails."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> Any:
        """The value of an expression as soon as it is true. Raises AssertionError, with the page's text, if it never is."""
        end = time.monotonic() + LONGEST
        while not (found := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"{script} never came true; the page says: {self.run('document.body.innerText')[:2000]}")
            time.sleep(0.2)
        return found

    def open(self, address: str) -> None:
        self.call("Page.enable")
        self.call("Page.navigate", url=address)

    def click(self, element: str, right: float = 0.5, down: float = 0.5) -> None:
        """Press the mouse on the element that an expression gives, so far from its left and its top (shares of its size)."""
        self.run(f"({element}).scrollIntoView({{block: 'center'}})")
        box = self.run(f"(() => {{const b = ({element}).getBoundingClientRect(); return [b.x, b.y, b.width, b.height]}})()")
        place = {"x": box[0] + right * box[2], "y": box[1] + down * box[3]}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def screenshot(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
        return path


@contextmanager
def browser(folder: Path, width: int = 1500, height: int = 1900) -> Iterator[Page]:
    """A page of a fresh browser, whose files are in `folder`; it ends with the block."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-allow-origins=*"]
    options += ["--remote-debugging-port=0", f"--window-size={width},{height}", f"--user-data-dir={folder}"]
    with running([str(CHROMIUM), *options, "about:blank"], folder.with_suffix(".log")) as process:
        told = folder / "DevToolsActivePort"
        wait(lambda: told.is_file() and "\n" in told.read_text(), process)
        port = told.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            found = next(page for page in json.load(answer) if page["type"] == "page")
        yield Page(found["webSocketDebuggerUrl"])


@contextmanager
def server(command: Sequence[str], folder: Path, ready: str) -> Iterator[str]:
    """A server of notebooks, and its address; {port} in the command is a free port. ready: path that answers once it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(address + ready) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    kept = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(folder / name.lower()) for name in kept}
    told = [sys.executable, "-m", *(part.replace("{port}", str(port)) for part in command)]
    with running(told, folder / "server.log", {**os.environ, **own, "PYTHONPATH": str(ROOT)}) as process:
        wait(answers, process)
        yield address


@contextmanager
def running(command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process, which is ended with the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait(condition: Any, process: subprocess.Popen[bytes]) -> None:
    """Wait until a condition holds. Raises AssertionError if the process ends before, or it never does."""
    end = time.monotonic() + LONGEST
    while not condition():
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        assert time.monotonic() < end, f"{process.args} is not ready"
        time.sleep(0.2)
