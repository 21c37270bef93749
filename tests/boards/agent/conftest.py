"""What the agent's tests share: environments that are copied, as the real pip takes seconds for each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dis2_boards.agent import environment
from tests.boards.agent.bundles import send
from tests.boards.agent.standin import NAME, version, wheel
from tests.boards.agent.talking import Local


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the stand-in, built by the agent in earnest, once, for a user whose pip is told otherwise."""
    folder, fake = tmp_path_factory.mktemp("built"), version("built")
    root, told = folder / "root", f"[install]\ntarget = {folder}/elsewhere\n"
    with pytest.MonkeyPatch.context() as patch, Local(root) as talk:
        for name, path in (("HOME", folder / "home"), ("XDG_CONFIG_DIRS", folder / "all")):
            conf = path / (".config" if name == "HOME" else "") / "pip" / "pip.conf"
            conf.parent.mkdir(parents=True)
            conf.write_text(told)
            patch.setenv(name, str(path))
        patch.setenv("PIP_TARGET", str(folder / "elsewhere"))
        send(talk, fake)
        sha, size = talk.upload(wheel())
        talk.ask("install", id=fake.id, wheels=[[NAME, sha, size]])
    return root / "versions" / fake.id / "env"


@pytest.fixture(scope="module")
def copied_environments(built: Path) -> Iterator[None]:
    """`install` copies that environment; all that it does around the building is as always."""

    def steps(_: Any, version: Path, folder: Path, *__: Any) -> list[tuple[str, list[str]]]:
        return [("copy", ["cp", "-a", f"{built}/", str(folder)])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "_steps", steps)
        yield
