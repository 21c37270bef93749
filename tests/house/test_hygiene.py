"""What the tree may hold: no host that is not listed here, no path of one machine, no weights, nothing huge."""

import re
from pathlib import Path

import pytest

HOSTS = {
    "apache.org",  # the licence's own text
    "arxiv.org",  # papers
    "doi.org",
    "keepachangelog.com",
    "semver.org",
    "w3.org",  # namespaces of SVG
    "ietf.org",
    "geotiff.io",
    "onnx.ai",
    "json-schema.org",  # name of the dialect that a schema is written in
    "isprs.org",  # where its benchmarks are asked for
}
HOST = re.compile(r"https?://([\w-]+(?:\.[\w-]+)+)|\b((?:[a-z0-9-]+\.)+(?:org|com))\b", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt|opt|scratch)/\w")
BINARY = {".png", ".jpg", ".tif", ".npz", ".safetensors"}


@pytest.fixture(scope="module")
def texts(root: Path, tracked: tuple[Path, ...]) -> dict[str, str]:
    kept = [name for name in tracked if name.suffix not in BINARY and name.name != "LICENSE"]
    return {str(name): (root / name).read_text("utf-8") for name in kept}


def test_only_known_hosts_are_named(texts: dict[str, str]) -> None:
    strange = {
        f"{name}: {host}"
        for name, text in texts.items()
        for pair in HOST.findall(text)
        if (host := (pair[0] or pair[1]).lower()).removeprefix("www.") not in HOSTS
    }
    assert not strange


def test_no_path_of_one_machine_is_named(texts: dict[str, str]) -> None:
    here = "tests/house/test_hygiene.py"
    found = {f"{name}: {hit}" for name, text in texts.items() if name != here for hit in MACHINE_PATH.findall(text)}
    assert not found


def test_no_weights_and_nothing_huge_is_tracked(root: Path, tracked: tuple[Path, ...]) -> None:
    """But for models/, whose weights come from drawn scenes; tests/train/test_models.py looks at them."""
    weights = {".safetensors", ".pth", ".pt", ".onnx", ".engine", ".pkl"}
    others = [name for name in tracked if not name.match("models/*/weights.safetensors")]
    assert not [str(name) for name in others if name.suffix in weights]
    assert not [str(name) for name in others if (root / name).stat().st_size > 1_000_000]


def test_every_module_says_first_what_it_is(texts: dict[str, str]) -> None:
    silent = [
        n for n, text in texts.items() if n.endswith(".py") and text.strip() and not text.startswith(('"""', "#!"))
    ]
    assert not silent


def test_the_changelog_tells_of_this_version(texts: dict[str, str]) -> None:
    from dis2_edge import __version__

    log = texts["CHANGELOG.md"]
    headings = re.findall(r"^## \[(.+?)\]", log, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert __version__ in headings or len(headings) == 1
    kinds = set(re.findall(r"^### (.+)$", log, re.MULTILINE))
    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
