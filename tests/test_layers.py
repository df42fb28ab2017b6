"""Imports go one way: the layers of parzc_core, its core by itself, and no circle. Imports within functions count too."""

import graphlib
import re

import grimp
import pytest
from grimp import ImportGraph, Layer

PACKAGE = "parzc_core"
# The paper, readable alone: what §3 describes, and the few files that every module may use.
CORE = (
    *("collector", "passes", "proxies", "encoding", "gcn", "mabn", "losses", "ranker", "training", "metrics", "errors"),
    *("_networks", "_watch", "_nested", "_fast_layers", "_state", "_graph", "_resampling", "_seeding", "_optional", "_plugins"),
    *("_denormals", "artifact", "checkpoints", "npz", "paths", "profiles"),
)
# From top to bottom. A layer may import those below it. Modules of one line do not import each other.
LAYERS = (
    Layer("__main__"),
    Layer("cli"),
    Layer("cli_data", "cli_own", "cli_verify"),
    Layer("cli_checks"),
    Layer("pipeline"),
    Layer("verifying"),
    Layer("experiments"),
    Layer("drawing", "report"),
    Layer("search", "tuning", "quantization"),
    Layer("runs"),
    Layer("own"),
    Layer("predictors"),
    Layer("collecting"),
    Layer("labels"),
    Layer("storage"),
    Layer("scores"),
    Layer("spaces", "images", "paper"),
    Layer("files"),
    Layer(*CORE, independent=False),
)


def imports() -> ImportGraph:
    """What imports what. The package itself is left out: it is a facade that imports what is asked for, when it is asked for."""
    found = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    for imported in found.find_modules_directly_imported_by(PACKAGE):
        found.remove_import(importer=PACKAGE, imported=imported)
    return found


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return imports()


def illegal(graph: ImportGraph) -> list[str]:
    """The imports that go up, or sideways, as "a -> b -> c"."""
    broken = graph.find_illegal_dependencies_for_layers(LAYERS, containers={PACKAGE})
    routes = [route for dependency in broken for route in dependency.routes]
    return sorted(" -> ".join((min(route.heads), *route.middle, min(route.tails))) for route in routes)


def circle(graph: ImportGraph) -> list[str]:
    """Modules that import each other in turn; empty if there are none."""
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_every_module_has_its_layer(graph: ImportGraph) -> None:
    placed = [f"{PACKAGE}.{name}" for layer in LAYERS for name in layer.module_tails]
    assert sorted(placed) == sorted(graph.find_children(PACKAGE)), "put a new folder or file into LAYERS"


def test_imports_go_down(graph: ImportGraph) -> None:
    assert illegal(graph) == []


def test_no_file_of_the_core_imports_a_subpackage(graph: ImportGraph) -> None:
    core = {f"{PACKAGE}.{name}" for name in CORE}
    assert not any(graph.find_children(module) for module in core)
    for module in core:
        assert graph.find_modules_directly_imported_by(module) <= core | {PACKAGE}, module


def test_no_circle_of_modules(graph: ImportGraph) -> None:
    assert circle(graph) == []


def test_no_circle_of_packages(graph: ImportGraph) -> None:
    for package in sorted(module for module in graph.modules if graph.find_children(module)):
        assert graph.nominate_cycle_breakers(package) == set(), package


@pytest.mark.parametrize(
    ("importer", "imported", "message"),
    [
        ("runs.rankers", "experiments.explore", r"runs\.rankers -> .*experiments\.explore"),  # up
        ("report.page", "drawing.style", r"report\.page -> .*drawing\.style"),  # sideways
        ("mabn", "storage.rows", r"mabn -> .*storage\.rows"),  # out of the core
    ],
)
def test_an_import_that_goes_up_is_found(importer: str, imported: str, message: str) -> None:
    changed = imports()
    changed.add_import(importer=f"{PACKAGE}.{importer}", imported=f"{PACKAGE}.{imported}")
    assert any(re.search(message, line) for line in illegal(changed))


def test_a_circle_is_found() -> None:
    changed = imports()
    changed.add_import(importer=f"{PACKAGE}.errors", imported=f"{PACKAGE}.mabn")
    assert {f"{PACKAGE}.errors", f"{PACKAGE}.mabn"} <= set(circle(changed))
