"""The notebooks that make up the artifact: what each makes and needs, from its metadata.

    for experiment in discover():
        print(experiment.name, experiment.makes)

An experiment is a notebook. Every notebooks/*.ipynb whose metadata has the key `parzc` takes part: adding one needs no edit
elsewhere. The contract:

    "parzc": {"title": "what the reader gets, in a sentence", "makes": ["table06", "fig06b_tsne"], "order": 60}

makes: the results that it writes. A table is results/<profile>/tableNN/rows.csv. Anything else is a figure, <name>.png in
figures/ for the profile "full", else in results/<profile>/figures/. A notebook that ends without them has failed.
order: its place in the run and in the report.
needs (may be left out): labels it is of no use without, as space/dataset: `["nb101/cifar10"]`. Where they are missing, the
notebook is skipped; that is no failure.
optional (may be left out): those of `makes` that it makes only where labels allow, such as `["fig06a_tsne"]`.
captions (may be left out): what its figures say, `{"fig06a_tsne": "a sentence"}`; `report.captions` fills in committed
numbers.

One cell, tagged `parameters`, assigns `profile = "standard"` and, if the notebook can use several processes, `jobs = 1`. A run
leaves NAME.ipynb, NAME.html and NAME.status.json in report/notebooks/<profile>/; the last tells of the latest attempt, even if
that was skipped.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parzc_core import paths
from parzc_core.errors import BadInput, UnknownName

_NEED = re.compile(r"[^/\s]+/[^/\s]+")  # space/dataset


@dataclass(frozen=True)
class Experiment:
    """A notebook of the artifact. name: its file's stem. parameters: names assigned in its parameters cell.

    title, makes, order, needs, optional and captions are its metadata; the module's text explains them.
    """

    name: str
    path: Path
    title: str
    makes: tuple[str, ...]
    order: int
    parameters: tuple[str, ...]
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    captions: Mapping[str, str] = field(default_factory=dict, hash=False)

    def product(self, made: str, profile: str) -> Path:
        """The file of one of `makes`: a table's rows, or a figure."""
        if made.startswith("table"):
            return self.rows(made, profile)
        figures = paths.FIGURES if profile == "full" else paths.RESULTS / profile / "figures"
        return figures / f"{made}.png"

    def rows(self, made: str, profile: str) -> Path:
        """The file of the rows of one of `makes`, also where its product is a figure; some figures have none."""
        return paths.RESULTS / profile / made / "rows.csv"

    def products(self, profile: str) -> list[Path]:
        """The files that it must have made when it ended: those of `makes`, without the optional ones."""
        return [self.product(made, profile) for made in self.makes if made not in self.optional]

    def output(self, profile: str) -> Path:
        """Where the executed notebook goes."""
        return paths.REPORT / "notebooks" / profile / f"{self.name}.ipynb"

    def status_file(self, profile: str) -> Path:
        """Where the record of the last attempt goes."""
        return self.output(profile).with_suffix(".status.json")


def discover(folder: Path | None = None) -> tuple[Experiment, ...]:
    """Every notebook with the metadata key `parzc`, in order.

    Raises BadInput where one breaks the contract, or where there is no checkout and no folder is given.
    """
    if folder is None:
        paths.checkout("the notebooks")
        folder = paths.NOTEBOOKS
    found, makers = [], dict[str, str]()
    for path in sorted(folder.glob("*.ipynb")):
        meta = read(path).get("metadata", {}).get("parzc")
        if meta is None:
            continue
        kinds = {"title": str, "makes": list, "order": int}
        if not isinstance(meta, dict) or any(not isinstance(meta.get(key), kind) for key, kind in kinds.items()):
            raise BadInput(
                f"{path.name}: metadata key 'parzc' is {meta!r}; expected title (text), makes (list), order (int)"
            )
        needs = meta.get("needs", [])
        if not isinstance(needs, list) or not all(isinstance(need, str) and _NEED.fullmatch(need) for need in needs):
            raise BadInput(
                f"{path.name}: metadata key 'parzc' has needs {needs!r}; expected a list of space/dataset, such as "
                '["nb101/cifar10"]'
            )
        optional = meta.get("optional", [])
        if not isinstance(optional, list) or not set(optional) <= set(meta["makes"]):
            raise BadInput(
                f"{path.name}: metadata key 'parzc' has optional {optional!r}; expected a list of some of makes"
            )
        captions = meta.get("captions", {})
        texts = isinstance(captions, dict) and all(isinstance(text, str) for text in captions.values())
        if not texts or not set(captions) <= set(meta["makes"]):
            raise BadInput(
                f"{path.name}: metadata key 'parzc' has captions {captions!r}; expected a text for some of makes, such as "
                '{"fig04_rank_correlation": "The best are ranked high."}'
            )
        for made in meta["makes"]:
            if (first := makers.setdefault(made, path.name)) != path.name:
                raise BadInput(f"{made} is made by {first} and by {path.name}; expected one notebook for each result")
        parameters = known_parameters(path)
        if "profile" not in parameters:
            raise BadInput(f"{path.name} has no parameter 'profile'; expected it in a cell tagged 'parameters'")
        about: dict[str, Any] = {"title": meta["title"], "order": meta["order"], "parameters": parameters, "captions": captions}
        about |= {"makes": tuple(meta["makes"]), "needs": tuple(needs), "optional": tuple(optional)}
        found.append(Experiment(path.stem, path, **about))
    return tuple(sorted(found, key=lambda item: (item.order, item.name)))


def select(names: Sequence[str], experiments: Sequence[Experiment]) -> tuple[Experiment, ...]:
    """The experiments that the names ask for, in order; all of them if no name is given.

    A name is a notebook, a table or a figure, or how one begins: "table06", "fig05", "paper". Raises UnknownName.
    """
    chosen = set()
    for name in names:
        exact = {item for item in experiments if name == item.name or name in item.makes}
        matching = exact or {item for item in experiments if any(_begins(x, name) for x in (item.name, *item.makes))}
        if not matching:
            known = {x for item in experiments for x in (item.name, *item.makes)}
            raise UnknownName.of("table, figure or notebook", name, sorted(known))
        chosen |= matching
    return tuple(item for item in experiments if not names or item in chosen)


def _begins(full: str, name: str) -> bool:
    """Whether `name` is the front of `full` up to a boundary: "fig06" begins fig06b_tsne, "fig0" and "tab" nothing."""
    rest = full.removeprefix(name)
    return bool(name) and rest != full and (rest[:1] == "_" or (name[-1].isdigit() and rest[:1].isalpha()))


def read(source: Path) -> dict[str, Any]:
    """The notebook as plain JSON. Raises BadInput if there is no such file or it is no notebook."""
    try:
        content = json.loads(Path(source).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"no notebook at {source}; expected an .ipynb file") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{source} is no notebook: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise BadInput(f"{source} is no notebook: expected an object with a list of cells")
    return content


def known_parameters(source: Path) -> tuple[str, ...]:
    """Names assigned in the cell tagged `parameters`, in order; empty without such a cell."""
    return tuple(name for name, _ in _assigned(source))


def parameter_defaults(source: Path) -> dict[str, Any]:
    """The values that the cell tagged `parameters` assigns, by name; without those that are computed."""
    found = {}
    for name, value in _assigned(source):
        try:
            found[name] = ast.literal_eval(value) if value is not None else None
        except ValueError:
            found.pop(name, None)
    return found


def _assigned(source: Path) -> list[tuple[str, ast.expr | None]]:
    names: list[tuple[str, ast.expr | None]] = []
    for cell in read(source)["cells"]:
        if cell.get("cell_type") == "code" and "parameters" in cell.get("metadata", {}).get("tags", ()):
            try:
                body = ast.parse("".join(cell["source"])).body
            except SyntaxError as error:
                raise BadInput(f"the cell tagged 'parameters' of {source} is no plain Python: {error}") from None
            for statement in body:
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
                )
                value = getattr(statement, "value", None)
                names += [(target.id, value) for target in targets if isinstance(target, ast.Name)]
    return names
