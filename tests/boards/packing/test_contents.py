"""A whole bundle: signed, with packages, licences and bill; from anywhere and by whomever, the same bytes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from made_stock import make_stock
from proven_bundle import make_run

from dis2_boards.packing import pack as packing
from dis2_boards.packing.pack import pack
from dis2_boards.profile import load
from dis2_boards.trust import keys
from dis2_boards.trust.keys import PublicKey
from dis2_boards.trust.signing import verify
from dis2_edge import bundle as bundles
from dis2_edge import manifest as manifests
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BundleError

TAGS = ["cp310-aarch64", "cp312-x86_64"]
PROCESS = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[5], 8))
from dis2_boards.packing import pack as packing, pins
from dis2_boards.profile import load
from dis2_boards.trust import keys
packing.verify = lambda *_: None
pins.FILE = Path(sys.argv[3])
packing.pack(Path(sys.argv[1]), load("host"), Path(sys.argv[2]), key=keys.load_private(Path(sys.argv[4])),
             tags=["cp312-x86_64", "cp310-aarch64"], wheels=pins.FILE.parent / "wheels")
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keys.new(tmp_path / "secret.pem")
    return tmp_path / "secret.pem"


@pytest.fixture
def made(tmp_path: Path, stock: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(packing, "verify", lambda *_: None)
    run, loaded = make_run(tmp_path / "q"), keys.load_private(key)
    return pack(run, load("host"), tmp_path / "b", key=loaded, tags=TAGS, wheels=stock)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prove(folder: Path, trusted: list[PublicKey]) -> None:
    """What whoever trusts a key does with a bundle first."""
    found = bundles.read(folder)
    verify(found, trusted)
    bundles.verify_hashes(found)


def test_it_holds_all_that_a_board_needs(made: Bundle, key: Path) -> None:
    bundles.verify_hashes(made)
    trusted = keys.public_of(keys.load_private(key), "ann")
    assert verify(made, [trusted]) == trusted
    names = set(made.manifest.files)
    assert {"card.md", "recipe.toml", "sbom.json", *(f"wheels/{tag}.lock" for tag in TAGS)} <= names
    assert {"licences/numpy-1.0.txt", "licences/onnxruntime-1.0.txt"} <= names
    schema = json.loads(Path(manifests.__file__).with_name("manifest.schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads((made.path / bundles.MANIFEST).read_text("utf-8")), schema)
    card = made.file("card.md").read_text()
    assert re.search(r"For cp310-aarch64: 8 packages, \d\.\d MB to send, listed in `wheels/cp310-aarch64\.lock`", card)
    assert "| numpy | 1.0 | MIT | `licences/numpy-1.0.txt` |" in card


def test_another_process_folder_umask_zone_and_locale_give_the_same_bytes(
    made: Bundle, key: Path, tmp_path: Path
) -> None:
    far = tmp_path / "another place"
    subprocess.run(["cp", "-r", tmp_path / "q", far], check=True)  # same contents, other times
    file = make_stock(tmp_path / "other stock" / "wheels")
    strange = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "7", "HOME": str(tmp_path)}
    environment = {**os.environ, **strange, "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)}
    words = [far, "made", file, key, "077"]
    subprocess.run([sys.executable, "-c", PROCESS, *words], cwd=tmp_path, env=environment, check=True)
    assert files_of(tmp_path / "made") == files_of(made.path)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made").rglob("*") if path.is_file()}
    assert modes == {0o644}


def test_no_private_key_and_no_place_of_this_machine_is_in_it(made: Bundle, key: Path) -> None:
    secret = key.read_bytes().splitlines()[1]
    for name, data in files_of(made.path).items():
        assert b"PRIVATE KEY" not in data, name
        assert secret not in data, name
        assert str(key.parent).encode() not in data, name
        assert os.uname().nodename.encode() not in data or len(os.uname().nodename) < 6, name


def test_any_byte_of_any_file_that_flips_is_refused_with_the_file_named(made: Bundle, key: Path) -> None:
    trusted = [keys.public_of(keys.load_private(key))]
    for name, data in files_of(made.path).items():
        for place in {0, len(data) - 1}:
            flipped = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
            (made.path / name).write_bytes(flipped)
            with pytest.raises(BundleError) as caught:
                prove(made.path, trusted)
            assert name in str(caught.value)
        (made.path / name).write_bytes(data)
    verify(bundles.read(made.path), trusted)
