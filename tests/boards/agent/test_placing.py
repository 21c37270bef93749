"""What is placed is what was hashed and listed; all else is refused, with nothing half made."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.boards.agent.bundles import Fake, bundle, send
from tests.boards.agent.talking import AgentError, Local


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def versions(root: Path) -> list[str]:
    return sorted(entry.name for entry in (root / "versions").iterdir())


def test_a_bundle_is_placed_whole_and_read_only(root: Path) -> None:
    fake = bundle("a")
    with Local(root) as talk:
        answer = send(talk, fake)
        assert "trusts no key" in answer["warning"]
        assert answer["signed_by"] is None
        status = talk.ask("status")
    folder = root / "versions" / fake.id / "bundle"
    assert {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    } == fake.files
    assert not [path for path in folder.rglob("*.onnx") if path.stat().st_mode & 0o222]
    assert status["current"] is None
    assert [(row["id"], row["name"], row["proven"]) for row in status["versions"]] == [(fake.id, "a", False)]


def test_a_bundle_of_hard_links_takes_the_room_of_one(root: Path) -> None:
    fake = bundle("a")
    with Local(root) as talk:
        send(talk, fake)
    sha = fake.rows()["models/full.onnx"][0]
    assert os.path.samefile(root / "stock" / sha, root / "versions" / fake.id / "bundle" / "models" / "full.onnx")


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "a//b",
        ".hidden",
        "a/.b",
        "a\\b",
        "a\nb",
        "",
        "x" * 241,
        "a/" * 9 + "a",
        "ä",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(root: Path, path: str) -> None:
    fake = bundle("a", **{path: b"evil"})
    with Local(root) as talk, pytest.raises(AgentError, match=r"unsafe path|place: files"):
        send(talk, fake)
    assert versions(root) == []


def test_a_file_that_is_also_a_folder_is_refused(root: Path) -> None:
    with Local(root) as talk, pytest.raises(AgentError, match="a file and a folder"):
        send(talk, bundle("a", **{"models": b"x"}))
    assert versions(root) == []


@pytest.mark.parametrize(
    "change", ["other id", "other seal", "file missing", "file extra", "file swapped", "no manifest"]
)
def test_what_is_not_as_the_manifest_says_is_refused(root: Path, change: str) -> None:
    fake, other = bundle("a"), bundle("b")
    files, name = dict(fake.files), fake.id
    if change == "other id":
        name = other.id
    elif change == "other seal":
        files["manifest.sha256"] = other.files["manifest.sha256"]
    elif change == "file missing":
        del files["recipe.toml"]
    elif change == "file extra":
        files["extra"] = b"x"
    elif change == "file swapped":
        files["models/full.onnx"] = other.files["models/full.onnx"]
    else:
        del files["manifest.json"]
    with Local(root) as talk:
        changed = Fake(files)
        for data in files.values():
            talk.upload(data)
        with pytest.raises(AgentError, match="manifest"):
            talk.ask("place", id=name, files=changed.rows())
        assert talk.ask("status")["versions"] == []
    assert versions(root) == []


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"files": []}', b'{"files": {"a": 1}}', b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(root: Path, text: bytes) -> None:
    seal = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n".encode()
    fake = Fake({"manifest.json": text, "manifest.sha256": seal})
    with Local(root) as talk, pytest.raises(AgentError, match=r"manifest\.json"):
        send(talk, fake)
    assert versions(root) == []


def test_a_stock_file_that_the_disk_damaged_is_found_when_it_is_used(root: Path) -> None:
    fake = bundle("a")
    with Local(root) as talk:
        for data in fake.files.values():
            talk.upload(data)
        stored = root / "stock" / fake.rows()["models/full.onnx"][0]
        stored.chmod(0o644)
        stored.write_bytes(stored.read_bytes()[:-1] + b"!")
        with pytest.raises(AgentError, match="damaged on the board's disk"):
            talk.ask("place", id=fake.id, files=fake.rows())
        assert versions(root) == []
        assert send(talk, fake), "what was damaged was removed, so that it is sent anew"


def test_a_link_in_the_stock_is_no_file(root: Path, tmp_path: Path) -> None:
    fake, secret = bundle("a"), tmp_path / "secret"
    secret.write_bytes(fake.files["recipe.toml"])
    with Local(root) as talk:
        talk.ask("lock")
        (root / "stock" / fake.rows()["recipe.toml"][0]).symlink_to(secret)
        send(talk, fake)
    assert not (root / "versions" / fake.id / "bundle" / "recipe.toml").is_symlink()


def test_a_standing_version_that_was_damaged_is_built_anew_unless_it_flies(root: Path) -> None:
    fake = bundle("a")
    with Local(root) as talk:
        send(talk, fake)
        file = root / "versions" / fake.id / "bundle" / "recipe.toml"
        file.unlink()
        file.write_bytes(b"x = 2\n")
        (root / "current").symlink_to(f"versions/{fake.id}")
        with pytest.raises(AgentError, match="flies and is damaged"):
            send(talk, fake)
        assert file.read_bytes() == b"x = 2\n"
        (root / "current").unlink()
        send(talk, fake)
    assert file.read_bytes() == b"x = 1\n"
