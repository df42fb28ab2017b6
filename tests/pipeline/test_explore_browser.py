"""The explorer in headless Chromium, under voila and in JupyterLab: it opens, a click opens a cell, files can be saved.

PARZC_SCREENSHOTS names a folder for pictures of what was seen.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import CHROMIUM, Page, browser, server

from parzc_core.experiments import explore
from parzc_core.paths import NOTEBOOKS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
BOOK = NOTEBOOKS / "explore.ipynb"
HOOK = "parzc_core.pipeline.saving.without_outputs"
CANVAS = "[...document.querySelectorAll('[class*=jupyter-matplotlib] canvas')].at(-1)"
TEXTS = "[...document.querySelectorAll('.widget-text input[type=text]')].slice(0, 2).map((input) => input.value)"
MENU = "[...document.querySelectorAll('.widget-dropdown select')]"
BUTTON = "[...document.querySelectorAll('button')].find((button) => button.textContent.trim() == '{}')"
IN_LAB = "[...jupyterapp.shell.widgets('main')].find((one) => one.context?.path == 'explore.ipynb')"
PICTURES = "document.querySelectorAll('.widget-html img').length"
PAIR = "[...document.querySelectorAll('.widget-html table')].map((table) => table.textContent).join()"


def seen(page: Page, name: str, folder: Path) -> None:
    page.screenshot(Path(os.environ.get("PARZC_SCREENSHOTS", folder)) / f"{name}.png")


def choose(page: Page, menu: int, text: str) -> None:
    """Choose an entry of a menu, as a user does: the page tells the kernel by itself. Its spaces are no plain ones there."""
    place = f"[...menu.options].findIndex((one) => one.text.replaceAll('\\u00a0', ' ') == '{text}')"
    page.run(
        f"(() => {{const menu = {MENU}[{menu}]; menu.selectedIndex = {place};"
        "menu.dispatchEvent(new Event('change', {bubbles: true}))})()"
    )


def use(page: Page, name: str, folder: Path) -> None:
    """What a user does with the explorer, once its widgets are there."""
    page.until(f"{TEXTS}.length == 2 && {PICTURES} == 4 && !!{CANVAS} && {CANVAS}.getBoundingClientRect().width > 500")
    left, right = page.run(TEXTS)
    known = explore.opened("nb201", "cifar10")
    assert (left, right) == known.examples()
    seen(page, f"{name}-opened", folder)
    page.click(CANVAS, 0.3, 0.5)
    page.until(f"{TEXTS}[0] != '{left}' && {PAIR}.includes({TEXTS}[0])")
    clicked, same = page.run(TEXTS)
    assert same == right
    assert clicked in known.cells.index
    choose(page, 1, "ParZC+")
    page.until(f"{PAIR}.includes('Rank by ParZC+')")
    seen(page, f"{name}-ranker", folder)
    choose(page, 0, explore.TITLES["nb101", "cifar10"])
    page.until(f"{TEXTS}[0].startsWith('input>') && {PAIR}.includes({TEXTS}[0])")
    seen(page, f"{name}-nb101", folder)
    choose(page, 0, explore.TITLES["nb201", "cifar100"])
    page.until(f"{TEXTS}[0].startsWith('|') && {PAIR}.includes({TEXTS}[0])")
    page.click(BUTTON.format("export"))
    names = page.until("(() => {const found = [...document.querySelectorAll('a[download]')].map((one) => one.download);"
                       "return found.length && found})()")  # fmt: skip
    assert names == ["nb201_cifar100.csv", "nb201_cifar100.png", "nb201_cifar100_cells.txt"]
    saved = page.run("fetch(document.querySelector('a[download]').href).then((one) => one.text())")
    assert saved.startswith("cell,predicted rank")
    seen(page, f"{name}-exported", folder)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path / "browser") as found:
        yield found


def test_under_voila(page: Page, tmp_path: Path) -> None:
    before = BOOK.read_bytes()
    command = ["voila", str(BOOK), "--no-browser", "--port={port}", "--Voila.ip=127.0.0.1"]
    with server(command, tmp_path, "/voila/static/voila.js") as address:
        page.open(address)
        use(page, "voila", tmp_path)
    assert BOOK.read_bytes() == before


def test_in_jupyterlab_which_leaves_the_file_as_it_is(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    book = Path(shutil.copy(BOOK, folder))
    command = ["jupyterlab", "--no-browser", "--port={port}", "--ip=127.0.0.1", "--allow-root", "--expose-app-in-browser"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", f"--ContentsManager.pre_save_hook={HOOK}"]
    with server(command, tmp_path, "/api") as address:
        page.open(f"{address}/lab/tree/{book.name}")
        page.until("!!window.jupyterapp && !!document.querySelector('.jp-Notebook .jp-Cell')")
        page.until(f"!!({IN_LAB})?.sessionContext?.isReady")
        page.run(f"jupyterapp.shell.activateById(({IN_LAB}).id)")
        page.run("jupyterapp.commands.execute('notebook:run-all-cells'); true")
        use(page, "lab", tmp_path)
        page.run("jupyterapp.commands.execute('docmanager:save').then(() => true)")
        page.until(f"!({IN_LAB}).context.model.dirty")
    assert book.read_bytes() == BOOK.read_bytes()
