"""Whatever arrives, there is one answer or one error to each line, and the agent serves on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2_boards.agent import hello, wire
from dis2_boards.agent.verbs import VERBS
from tests.boards.agent.talking import AgentError, Local, all_at_once

HELLO = b'{"ask": "hello", "root": "%s"}\n'
STATUS = b'{"ask": "status"}\n'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
KEYS = sorted({key for verb in VERBS.values() for key in verb.keys})
QUIET = sorted(set(VERBS) - {"hello", "put", "fetch"})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hello, "board_facts", dict)
        yield tmp_path_factory.mktemp("serving") / "root"


def after_hello(root: Path, *lines: bytes) -> list[dict[str, Any]]:
    replies = all_at_once([HELLO % str(root).encode(), *lines, STATUS])
    replies = [reply for reply in replies if "tell" not in reply]
    assert set(replies[0]) == {"answer"}
    assert replies[-1]["answer"]["current"] is None, "the request after it is answered"
    return replies[1:-1]


@given(line=st.binary(max_size=200).filter(lambda data: b"\n" not in data))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_request_are_one_error(root: Path, line: bytes) -> None:
    replies = after_hello(root, line + b"\n")
    assert [set(reply) for reply in replies] == [{"error"}]


@given(verb=st.sampled_from(QUIET), keys=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), JSON, max_size=6))
def test_any_values_are_one_answer_or_one_error(root: Path, verb: str, keys: dict[str, Any]) -> None:
    replies = after_hello(root, json.dumps({**keys, "ask": verb}).encode() + b"\n")
    assert len(replies) == 1
    told = replies[0].get("error", {"found": ""})
    assert "a fault of the agent" not in told["found"], told
    assert not list((root / "versions").glob("*")) if (root / "versions").exists() else True


@pytest.mark.parametrize(
    "line",
    [
        b'{"ask": "fly"}',
        b'{"ask": 1}',
        b'{"ask": "lock", "wait": 1}',
        b'{"ask": "lock", "wait_s": NaN}',
        b'{"ask": "lock", "wait_s": -1}',
        b'{"ask": "lock", "wait_s": true}',
        b'{"ask": "have"}',
        b'{"ask": "have", "files": [["x", 1]]}',
        b'{"ask": "put", "sha256": "../../etc", "bytes": 0, "offset": 0}',
        b'{"ask": "put", "sha256": "%s", "bytes": -1}' % (b"0" * 64),
        b'{"ask": "place", "id": "../../../../x", "files": {}}',
        b'{"ask": "install", "id": "%s", "wheels": [["../x.whl", "%s", 1]]}' % (b"0" * 12, b"0" * 64),
        b'{"ask": "prove", "id": "%s", "engine": "shell"}' % (b"0" * 12),
        b'{"ask": "service", "kind": "cron"}',
        b'{"ask": "fetch", "path": "rig.toml"}',
        b"[" * 100_000,
        b'{"ask": "status", "x": ' + b"[" * 100_000,
    ],
)
def test_a_bad_request_is_refused_in_words(root: Path, line: bytes) -> None:
    (reply,) = after_hello(root, line + b"\n")
    assert reply["error"]["found"]
    assert "a fault of the agent" not in reply["error"]["found"]


def test_a_request_that_is_too_long_is_refused_and_passed_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LINE_LIMIT", 300)
    (reply,) = after_hello(root, b'{"ask": "status", "x": "' + b"x" * (3 << 20) + b'"}\n')
    assert "too long" in reply["error"]["found"]


def test_a_request_that_was_cut_off_is_not_done(root: Path) -> None:
    replies = all_at_once([HELLO % str(root).encode(), b'{"ask": "lock"}'])
    assert len(replies) == 1


@pytest.mark.parametrize(
    "keys",
    [
        {"sha256": "no hash", "bytes": 40},
        {"sha256": "0" * 64, "bytes": 40, "who": "x"},
        {"sha256": "0" * 64, "bytes": 50, "offset": 10},
        {"sha256": "0" * 64, "bytes": 40},
        {"bytes": 40, "offset": 0},
    ],
)
@pytest.mark.parametrize("greeted", [True, False])
def test_bytes_of_an_upload_that_is_refused_are_no_requests(
    tmp_path: Path, keys: dict[str, Any], greeted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hello, "board_facts", dict)
    hi, raw = HELLO % str(tmp_path / "root").encode(), b'{"ask": "trusted"}\n' * 2 + b"xx"
    lines = [hi] * greeted + [json.dumps({"ask": "put", **keys}).encode() + b"\n" + raw] + [hi] * (not greeted)
    replies = all_at_once([*lines, STATUS])
    assert [set(reply) for reply in replies[:-1]] == [{"answer"}, {"error"}][:: 1 if greeted else -1]
    assert replies[-1]["answer"]["versions"] == []


def test_hello_comes_once(root: Path, tmp_path: Path) -> None:
    (reply,) = after_hello(root, HELLO % str(tmp_path / "other").encode())
    assert "hello comes once" in reply["error"]["found"]


def test_a_key_that_cannot_be_read_hides_no_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "board_facts", dict)
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "lab.pub").write_bytes(b"\xff")
    replies = all_at_once([HELLO % str(tmp_path).encode(), b'{"ask": "trusted"}\n', STATUS])
    assert replies[0]["answer"]["trusted"] == ["lab"]
    assert "is no key" in replies[1]["error"]["found"]
    assert "answer" in replies[2]


def test_the_log_cannot_be_written_to_by_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "board_facts", dict)
    ask = json.dumps({"ask": "x\nlab  place  signed by lab"}).encode() + b"\n"
    all_at_once([HELLO % str(tmp_path).encode(), b'{"ask": "lock", "who": "\\ud800"}\n', ask])
    assert len((tmp_path / "deploy.log").read_text().splitlines()) == 1


def test_hello_comes_first() -> None:
    (reply,) = all_at_once([STATUS])
    assert "hello" in reply["error"]["found"]


@pytest.mark.parametrize("place", ["/", "~", "relative", "/tmp/../x", "/x\ny", "/x\ud800"])
def test_a_root_that_is_none_is_refused(place: str) -> None:
    (reply,) = all_at_once([json.dumps({"ask": "hello", "root": place}).encode() + b"\n"])
    assert "root" in reply["error"]["found"]


def test_a_folder_of_other_things_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with Local() as talk, pytest.raises(AgentError, match="holds other things already"):
        talk.ask("hello", root=str(tmp_path))


def test_two_sessions_do_not_change_one_board(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Local(root) as first, Local(root) as second:
        first.ask("lock", who="somebody")
        with pytest.raises(AgentError, match="another deploy holds the board: somebody"):
            second.ask("lock", wait_s=0.1)
        with pytest.raises(AgentError, match="another deploy holds"):
            second.ask("prune")
        assert second.ask("status")["versions"] == [], "looking is always allowed"
        second.line(b'{"ask": "lock", "wait_s": 60}\n')
        first.close()
        assert second.reply() == {}


def test_a_fault_of_ours_is_one_error_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dis2_boards.agent import status

    monkeypatch.setattr(status.services, "of", lambda *_: 1 / 0)
    replies = all_at_once([HELLO % str(root).encode(), STATUS, b'{"ask": "trusted"}\n'])
    assert "ZeroDivisionError" in replies[1]["error"]["found"]
    assert "answer" in replies[2]
