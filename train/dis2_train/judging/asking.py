"""What `eval` and `compare` ask for alike: data, split, the class that leads, and how models are run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dis2_train.judging.source import Judge

MODEL_HELP = "a run, a quantised run, an .onnx file or a bundle"


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that both verbs have."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of a labelled data set")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument("--split", default="test", metavar="NAME", help="the images to judge on (default: test)")
    parser.add_argument("--class", dest="lead", default="", metavar="NAME", help="judge by this class's IoU, not mIoU")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="which files of a quantised run or bundle")
    parser.add_argument("--no-noise", action="store_true", help="leave out the noise, which takes as long as the rest")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where a run computes")


def judge_of(args: argparse.Namespace, cache: Path | None = None) -> Judge:
    """The judge that the arguments ask for; a wrong split or class is refused before anything is computed."""
    from dis2_edge.dataset import open_dataset
    from dis2_train.judging.source import Judge, data_hash
    from dis2_train.judging.tables import lead_measure

    data = open_dataset(args.data, args.describe)
    lead_measure(args.lead, data.task.classes)
    return Judge(
        data=data,
        split=args.split,
        fingerprint=data_hash(data, args.split),
        precision=args.precision,
        noise=not args.no_noise,
        device=args.device,
        cache=cache,
    )
