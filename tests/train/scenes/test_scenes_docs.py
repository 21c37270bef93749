"""docs/scenes.md: its commands run as they stand, and it tells every flag of the verb."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from ground_truth import read_mask

from dis2_edge.cli import main
from dis2_edge.images import read_indices

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/scenes.md").read_text("utf-8")
BLOCK = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.DOTALL)


def test_the_commands_run_and_the_masks_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    (block,) = BLOCK.findall(PAGE)
    for line in block.splitlines():
        program, *words = shlex.split(line)
        assert program == "dis2-edge"
        assert main(words) == 0
    truth = read_indices(tmp_path / "out/aerial21/flight/gt.png")
    both, height = read_mask(tmp_path / "out/mask.tif"), read_mask(tmp_path / "out/mask-height.tif")
    assert (both == truth).mean() > 0.94
    assert 0.7 < (height == truth).mean() < (both == truth).mean()
    assert not (height == 255).any()
    shutil.rmtree(tmp_path / "out")


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    assert PAGE.count("```sh") == len(re.findall(r"<!-- (?:run|not run: [^>]+) -->\n```sh", PAGE))


def test_every_flag_that_needs_words_is_told() -> None:
    from dis2_edge.cli import parser_of

    parser, _ = parser_of("predict")
    flags = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    plain = {"--help", "--batch", "--precision", "--device"}  # --help says all there is to say of them
    assert {flag for flag in flags - plain if flag not in PAGE} == set()


def test_the_window_count_of_the_page_is_true() -> None:
    from dis2_train.scenes.windows import spans

    assert [len(spans(2048, 256, overlap)) for overlap in (0, 64)] == [8, 11]
    assert np.isclose(1 / 254, 0.003937, atol=1e-6)
