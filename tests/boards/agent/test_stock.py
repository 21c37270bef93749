"""Uploads: resumed where they broke off, refused where they are damaged, and never in the way of what comes next."""

import hashlib
from pathlib import Path

import pytest

from tests.boards.agent.talking import AgentError, Local

DATA = bytes(range(256)) * 100
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_what_is_there_is_not_asked_for(root: Path) -> None:
    with Local(root) as talk:
        assert talk.ask("have", files=[[SHA, len(DATA)]]) == {"missing": [SHA], "partial": {}}
        talk.ask("put", DATA, sha256=SHA, bytes=len(DATA), offset=0)
        assert talk.ask("have", files=[[SHA, len(DATA)]]) == {"missing": [], "partial": {}}
    assert (root / "stock" / SHA).read_bytes() == DATA


def test_an_upload_that_broke_off_goes_on(root: Path) -> None:
    talk = Local(root)
    talk.line(f'{{"ask": "put", "sha256": "{SHA}", "bytes": {len(DATA)}, "offset": 0}}\n'.encode() + DATA[:1000])
    talk.close()
    with Local(root) as talk:
        had = talk.ask("have", files=[[SHA, len(DATA)]])
        assert had == {"missing": [SHA], "partial": {SHA: 1000}}
        talk.ask("put", DATA[1000:], sha256=SHA, bytes=len(DATA), offset=1000)
    assert (root / "stock" / SHA).read_bytes() == DATA
    assert not list((root / "stock").glob("*.part"))


def test_a_damaged_upload_is_refused_and_its_part_removed(root: Path) -> None:
    with Local(root) as talk:
        with pytest.raises(AgentError, match="damaged on the way"):
            talk.ask("put", b"!" + DATA[1:], sha256=SHA, bytes=len(DATA), offset=0)
        assert list((root / "stock").iterdir()) == []
        talk.ask("put", DATA, sha256=SHA, bytes=len(DATA), offset=0)


def test_a_resumed_upload_whose_start_was_damaged_is_refused(root: Path) -> None:
    with Local(root) as talk:
        talk.ask("lock")
        (root / "stock" / f"{SHA}.part").write_bytes(b"!" * 1000)
        with pytest.raises(AgentError, match="damaged on the way"):
            talk.ask("put", DATA[1000:], sha256=SHA, bytes=len(DATA), offset=1000)
        talk.ask("put", DATA, sha256=SHA, bytes=len(DATA), offset=0)


@pytest.mark.parametrize("offset", [5, 999, 1001, len(DATA) + 1])
def test_an_upload_that_goes_on_elsewhere_is_refused_and_its_bytes_are_skipped(root: Path, offset: int) -> None:
    with Local(root) as talk:
        talk.ask("lock")
        (root / "stock" / f"{SHA}.part").write_bytes(DATA[:1000])
        with pytest.raises(AgentError, match="goes on at"):
            talk.ask("put", DATA[offset:], sha256=SHA, bytes=len(DATA), offset=offset)
        assert talk.ask("have", files=[[SHA, len(DATA)]])["partial"] == {SHA: 1000}


def test_an_empty_file_is_a_file(root: Path) -> None:
    with Local(root) as talk:
        sha, _ = talk.upload(b"")
    assert (root / "stock" / sha).read_bytes() == b""


def test_a_board_with_too_little_room_says_so_before_it_takes_a_byte(root: Path) -> None:
    with Local(root) as talk:
        talk.ask("lock")
        line = f'{{"ask": "put", "sha256": "{SHA}", "bytes": {1 << 40}, "offset": 0}}\n'
        talk.line(line.encode())
        with pytest.raises(AgentError, match="are free on the board"):
            talk.reply()
    assert list((root / "stock").iterdir()) == []


@pytest.mark.parametrize("kind", ["read-only", "folder", "link"])
def test_a_part_that_cannot_be_written_is_in_nobodys_way(root: Path, tmp_path: Path, kind: str) -> None:
    with Local(root) as talk:
        talk.ask("lock")
        part = root / "stock" / f"{SHA}.part"
        if kind == "folder":
            (part / "x").mkdir(parents=True)
        elif kind == "link":
            part.symlink_to(tmp_path / "other")
        else:
            part.write_bytes(DATA[:10])
            part.chmod(0o444)
        talk.ask("put", DATA, sha256=SHA, bytes=len(DATA), offset=0)
    assert (root / "stock" / SHA).read_bytes() == DATA
    assert not (tmp_path / "other").exists()


def test_a_file_is_read_only_from_its_own_name_on(root: Path) -> None:
    """A part that was made read-only and then cut off could not be gone on with."""
    from dis2_boards.agent import disk

    seen: list[str] = []

    class Order(disk.Witness):
        def before(self, name: str, path: Path) -> None:
            seen.append(f"{name} {path.name}")

    with Local(root) as talk, pytest.MonkeyPatch.context() as patch:
        talk.ask("lock")
        patch.setattr(disk, "witness", Order())
        talk.upload(DATA)
    done = [row.replace(SHA, "SHA") for row in seen if SHA in row or "stock" in row]
    assert done[-4:] == ["fsync SHA.part", "rename SHA", "chmod SHA", "fsync folder stock"]
