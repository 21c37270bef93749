"""The bill of materials: valid CycloneDX 1.6, every model and package in it, nothing in it that changes by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tiny_bundle import NDSM, RGB, make_bundle, task_of

from dis2_boards.packing.licences import Licence, own_licence
from dis2_boards.packing.pins import Wheel
from dis2_boards.packing.sbom import FILE, write_sbom
from dis2_edge import __version__
from dis2_edge.files import sha256

OWN = Wheel(f"dis2_edge-{__version__}+abc-py3-none-any.whl", "a" * 64, 10)
NUMPY = [Wheel(f"numpy-2.2-cp31{n}-cp31{n}-manylinux_2_28_aarch64.whl", f"{n}" * 64, 20) for n in (0, 2)]
LICENCES = (own_licence(), Licence("numpy", "2.2", "BSD-3-Clause", "licences/numpy-2.2.txt"))


def bill(folder: Path, locks: dict[str, list[Wheel]]) -> dict[str, Any]:
    """The bill of a bundle, with a kernel in it, that strict validation lets pass."""
    made = make_bundle(folder, task_of(RGB, NDSM))
    (folder / "kernels/sm_87").mkdir(parents=True)
    (folder / "kernels/sm_87/decide.cubin").write_bytes(b"code")
    write_sbom(folder, made.manifest, locks, LICENCES)
    text = (folder / FILE).read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    table = json.loads(text)
    assert isinstance(table, dict)
    return table


@pytest.fixture
def locks() -> dict[str, list[Wheel]]:
    return {"cp310-aarch64": [OWN, NUMPY[0]], "cp312-aarch64": [OWN, NUMPY[1]]}


def test_every_model_kernel_and_package_is_told_once(tmp_path: Path, locks: dict[str, list[Wheel]]) -> None:
    table = bill(tmp_path, locks)
    parts = {part["bom-ref"]: part for part in table["components"]}
    models = [name for name, part in parts.items() if part["type"] == "machine-learning-model"]
    assert len(models) == 6
    for name in (*models, "kernels/sm_87/decide.cubin"):
        assert parts[name]["hashes"] == [{"alg": "SHA-256", "content": sha256(tmp_path / name)}]
    numpy = parts[NUMPY[0].filename]
    assert (numpy["name"], numpy["version"], numpy["hashes"][0]["content"]) == ("numpy", "2.2", "0" * 64)
    assert numpy["purl"].startswith("pkg:pypi/numpy@2.2")
    assert numpy["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert parts[OWN.filename]["name"] == "dis2-edge"
    assert len(parts) == 6 + 1 + 3
    assert {row["ref"]: set(row.get("dependsOn", ())) for row in table["dependencies"]}["bundle"] == set(parts)


def test_without_packages_dis2_edge_itself_is_told(tmp_path: Path) -> None:
    parts = [part for part in bill(tmp_path, {})["components"] if part["type"] == "library"]
    assert [(part["name"], part["version"]) for part in parts] == [("dis2-edge", __version__)]


def test_there_is_no_time_in_it_and_its_number_is_that_of_its_contents(
    tmp_path: Path, locks: dict[str, list[Wheel]]
) -> None:
    first, again = bill(tmp_path / "a", locks), bill(tmp_path / "b", locks)
    assert first == again
    assert "timestamp" not in first["metadata"]
    assert bill(tmp_path / "c", {})["serialNumber"] != first["serialNumber"]


def test_another_order_of_hashes_changes_no_byte(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; import test_sbom as t\n"
        "t.bill(Path(sys.argv[1]), {'cp310-aarch64': [t.OWN, t.NUMPY[0]], 'cp312-aarch64': [t.OWN, t.NUMPY[1]]})"
    )
    rooms = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "runtime")]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, str(tmp_path / seed), *rooms]
        subprocess.run(command, check=True, env=environment, capture_output=True)
    assert (tmp_path / "1" / FILE).read_bytes() == (tmp_path / "2" / FILE).read_bytes()
