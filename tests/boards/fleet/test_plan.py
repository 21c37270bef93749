"""The fleet's file: what it may say, and what is refused with the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from dis2_boards.fleet.plan import load
from dis2_edge.errors import BoardError

TWO = '[boards.one]\ntarget = "ssh://a@10.0.0.1"\n[boards.two]\ntarget = "ssh://a@10.0.0.2:2222"\n'


def written(folder: Path, text: str) -> Path:
    (folder / "fleet.toml").write_text(text)
    return folder / "fleet.toml"


def names(path: Path) -> list[list[str]]:
    return [[member.name for member in wave] for wave in load(path).steps()]


def five(head: str) -> str:
    return head + "".join(f'[boards.b{n}]\ntarget = "ssh://b{n}"\n' for n in range(5))


@pytest.mark.parametrize(
    ("head", "order"),
    [
        ("", [["b0"], ["b1", "b2", "b3", "b4"]]),
        ('canary = "b3"\n', [["b3"], ["b0", "b1", "b2", "b4"]]),
        ("wave_size = 3\n", [["b0"], ["b1", "b2", "b3"], ["b4"]]),
        ('canary = "b1"\nwaves = [["b4"], ["b0", "b2", "b3"]]\n', [["b1"], ["b4"], ["b0", "b2", "b3"]]),
    ],
)
def test_the_canary_goes_first_then_the_waves(tmp_path: Path, head: str, order: list[list[str]]) -> None:
    assert names(written(tmp_path, five(head))) == order


def test_a_fleet_of_one_is_its_canary(tmp_path: Path) -> None:
    assert names(written(tmp_path, '[boards.only]\ntarget = "dir:/tmp/x"\n')) == [["only"]]


def test_a_board_tells_deploy_only_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("")
    two = TWO.partition("[boards.two]")[2]
    text = (
        '[boards.one]\ntarget = "ssh://a@b"\nroot = "/data/d"\nrig = "one.toml"\nservice = "none"\n'
        + f"[boards.two]{two}"
    )
    plan = load(written(tmp_path, text))
    first, second = plan.boards["one"], plan.boards["two"]
    assert first.place == ("--target", "ssh://a@b", "--root", "/data/d")
    assert first.words(tmp_path) == ("--rig", str(tmp_path / "one.toml"), "--service", "none")
    assert (second.place, second.words(tmp_path)) == (("--target", "ssh://a@10.0.0.2:2222"), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no board"),
        (f"canari = 'one'\n{TWO}", "did you mean 'canary'?"),
        (TWO.replace("target", "targett", 1), "did you mean 'target'?"),
        ("[boards.one]\n", "missing target"),
        (f'name = "x"\n{TWO}', "unknown key 'name'"),
        (f'[boards.one]\nname = "x"\n{TWO[13:]}', "unknown key 'name'"),
        (f"canary = 'tvo'\n{TWO}", "did you mean 'two'?"),
        (f"waves = [['tvo']]\n{TWO}", "did you mean 'two'?"),
        (f"waves = [['two'], []]\n{TWO}", "an empty wave"),
        (f"waves = [['two'], ['two']]\n{TWO}", "'two' stands in the order 2 times"),
        (f"waves = [['one', 'two']]\n{TWO}", "'one' stands in the order 2 times"),
        (
            f"canary = 'one'\nwaves = [['three']]\n[boards.three]\ntarget = 'dir:x'\n{TWO}",
            "'two' stands in the order 0",
        ),
        (f"waves = [['two']]\nwave_size = 2\n{TWO}", "keep one of the two"),
        (f"wave_size = -1\n{TWO}", "0 or more"),
        (f"at_most_failed = -1\n{TWO}", "0 or more"),
        (f"at_once = 0\n{TWO}", "at_once 1 or more"),
        ("[boards.one]\ntarget = 'ssh://-oProxyCommand=x y'\n", "boards.one: --target 'ssh://-o"),
        ("[boards.one]\ntarget = 'ssh://-oProxyCommand=x'\n", "expected ssh://user@host"),
        ("[boards.one]\ntarget = 'ftp://a'\n", "expected ssh://user@host"),
        ("[boards.one]\ntarget = ''\n", "expected ssh://user@host"),
        ("[boards.'{{ 1 }}']\ntarget = 'dir:x'\n", "a board is called '{{ 1 }}'"),
        ("[boards.'../x']\ntarget = 'dir:x'\n", "a board is called '../x'"),
        (TWO.replace("10.0.0.2:2222", "10.0.0.1/"), "one and two are the same place"),
        ("[boards.one]\ntarget = 'dir:x'\nrig = 'gone.toml'\n", "there is no rig file"),
        ("[boards.one]\ntarget = 'dir:x'\nservice = 'sysv'\n", "'systemd'"),
        ("boards = 3\n", "expected a table"),
        ("boards = [\n", "is not readable TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BoardError) as caught:
        load(written(tmp_path, text))
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="does not exist"):
        load(tmp_path / "fleet.toml")


def test_the_file_on_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text("utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "rigs").mkdir()
    (tmp_path / "rigs" / "orin-2.toml").touch()
    rest = "".join(f'[boards.orin-{n}]\ntarget = "ssh://pilot@10.0.0.1{n}"\n' for n in (3, 4, 5))
    assert names(written(tmp_path, text + rest)) == [["orin-1"], ["orin-2", "orin-3"], ["orin-4", "orin-5"]]
