"""The bundle's bill of materials, CycloneDX 1.6 as JSON: models, kernels, and every package that a board installs.

There is no time in it, and its serial number is made of its contents: equal bundles have equal bills.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dis2_boards.packing.licences import Licence
from dis2_boards.packing.pins import Wheel
from dis2_edge.files import sha256, write_json
from dis2_edge.manifest import Manifest

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

FILE = "sbom.json"
"""The bill in a bundle."""
_SPACE = uuid.UUID("6d1f0c9c-5ad0-5b43-9f0e-3a3c53c4b1d1")
"""Name space of our serial numbers; any will do that stays."""


def write_sbom(
    folder: Path, manifest: Manifest, locks: Mapping[str, Sequence[Wheel]], licences: Sequence[Licence]
) -> None:
    """Write sbom.json into the bundle that is made in `folder`."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType

    whole = Component(
        name=manifest.name, version=manifest.recipe_hash, type=ComponentType.APPLICATION, bom_ref="bundle"
    )
    bom = Bom(components=[*_files(folder, manifest), *_packages(locks, licences)], serial_number=uuid.UUID(int=0))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the format lets it be absent
    bom.metadata.component = whole
    bom.register_dependency(whole, list(bom.components))
    write_json(folder / FILE, _numbered(bom))


def _numbered(bom: Bom) -> dict[str, Any]:
    """The bill as a table, its serial number told by all the rest."""
    from cyclonedx.output.json import JsonV1Dot6

    table: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del table["serialNumber"]
    rest = json.dumps(table, sort_keys=True)
    return {**table, "serialNumber": uuid.uuid5(_SPACE, hashlib.sha256(rest.encode()).hexdigest()).urn}


def _files(folder: Path, manifest: Manifest) -> Iterable[Component]:
    """Models and compiled kernels, by their paths in the bundle."""
    from cyclonedx.model.component import Component, ComponentType

    kinds = dict.fromkeys((row.file for row in manifest.models), ComponentType.MACHINE_LEARNING_MODEL)
    kernels = [path for pattern in ("*/*.cubin", "*/*.ptx") for path in (folder / "kernels").glob(pattern)]
    kinds |= {path.relative_to(folder).as_posix(): ComponentType.FILE for path in kernels}
    for path, kind in sorted(kinds.items()):
        yield Component(name=path, type=kind, hashes=[_hash(sha256(folder / path))], bom_ref=path)


def _packages(locks: Mapping[str, Sequence[Wheel]], licences: Sequence[Licence]) -> Iterable[Component]:
    """Every wheel once, whatever the number of tags that lock it; without locks dis2-edge alone."""
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense
    from packageurl import PackageURL

    stated = {_plain(row.name): row for row in licences}
    wheels = sorted({wheel for locked in locks.values() for wheel in locked}, key=lambda wheel: wheel.filename)
    rows: list[tuple[str, str, Wheel | None]] = [(_plain(wheel.name), wheel.version, wheel) for wheel in wheels]
    rows = rows or [("dis2-edge", stated["dis2-edge"].version, None)]
    for name, version, wheel in rows:
        qualifiers = {"file_name": wheel.filename} if wheel else {}
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", None, name, version, qualifiers),
            licenses=[DisjunctiveLicense(name=stated[name].stated)],
            hashes=[_hash(wheel.sha256)] if wheel else [],
            bom_ref=wheel.filename if wheel else name,
        )


def _hash(digest: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _plain(name: str) -> str:
    """A package's name in the one spelling of the index."""
    return name.replace("_", "-").replace(".", "-").lower()
