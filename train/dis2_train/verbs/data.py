"""`dis2-edge data`: describe a folder of pictures, check a data set, make a synthetic one, prepare a published one."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge.dataset import open_dataset
from dis2_edge.terminal import say, table, warn
from dis2_train.data import datacheck, polarity, registration
from dis2_train.data.describe import describe
from dis2_train.synth.make import KINDS, synthesise

EXAMPLE = "dis2-edge data synth --out out/aerial --kind aerial --count 40 --size 128 --seed 1"
EXAMPLES = {
    "init": "dis2-edge data init DATA --out my_dataset.toml",
    "check": "dis2-edge data check DATA --describe my_dataset.toml --out out/check",
    "synth": EXAMPLE,
    "prepare": "dis2-edge data prepare potsdam --raw Potsdam --out data/potsdam --tile 512 --overlap 128",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare `init`, `check`, `synth` and `prepare` and their arguments."""
    verbs = parser.add_subparsers(dest="data_verb", required=True, metavar="init|check|synth|prepare")
    init = _verb(verbs, "init", "write the first draft of a dataset.toml by looking at a folder")
    init.add_argument("data", type=Path, metavar="DATA", help="folder of pictures")
    init.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: DATA/dataset.toml)")
    check = _verb(
        verbs, "check", "read all of a data set: pairs, sizes, ranges, holes, class shares, a sheet to look at"
    )
    check.add_argument("data", type=Path, metavar="DATA", help="folder of the data set")
    check.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DATA")
    check.add_argument("--out", type=Path, metavar="DIR", help="folder for sheet.png; without it no sheet is made")
    check.add_argument("--rows", type=int, default=8, metavar="N", help="samples on the sheet (default: 8)")
    synth = _verb(verbs, "synth", "make a synthetic data set with its truth and a strip to fly over")
    synth.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the data set")
    synth.add_argument("--kind", choices=tuple(KINDS), default="aerial", help="colour + height, or colour + thermal")
    synth.add_argument("--count", type=int, default=100, metavar="N", help="number of scenes (default: 100)")
    synth.add_argument("--size", type=int, default=256, metavar="S", help="side in pixels (default: 256)")
    synth.add_argument("--seed", type=int, default=0, metavar="K", help="another seed gives other scenes (default: 0)")
    _configure_prepare(_verb(verbs, "prepare", "cut a published benchmark, or large scenes of one's own, into tiles"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked; 0 when it is done."""
    return {"init": _init, "check": _check, "synth": _synth, "prepare": _prepare}[args.data_verb](args)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _configure_prepare(prepare: argparse.ArgumentParser) -> None:
    add = prepare.add_argument
    add("name", metavar="NAME", help="potsdam, vaihingen, mfnet, pst900, or a layout of your own (a .toml file)")
    add("--raw", type=Path, required=True, metavar="DIR", help="folder with the unpacked archives; only read")
    add("--out", type=Path, required=True, metavar="DIR", help="new folder for the data set")
    add("--tile", type=int, metavar="PX", help="side of a tile; 0 keeps frames whole (default: the benchmark's)")
    add("--overlap", type=int, default=0, metavar="PX", help="least overlap of train's tiles (default: 0)")
    add("--optical", metavar="WHICH", help="colour to take: rgb, irrg or rgbir of potsdam")
    add("--height", metavar="WHICH", help="height to take: ndsm, dsm, or ground (dsm less an estimated ground)")
    add("--thermal", metavar="WHICH", help="thermal to take: agc or raw of pst900")
    add("--labels", metavar="WHICH", help="full, or eroded (val and test without their class boundaries)")
    add("--metres-per-grey", type=float, metavar="M", help="what a grey value of an 8-bit height means")
    add("--colour-tolerance", type=int, metavar="N", help="how far a label's red, green, blue may be off (0-255)")
    add("--resample", action="store_true", help="bring files of another resolution to the first sensor's pixels")
    add("--partial", action="store_true", help="take the scenes that are whole, leave out the others")


def _init(args: argparse.Namespace) -> int:
    out = args.out or args.data / "dataset.toml"
    draft = describe(args.data, out)
    say(f"written: {out}")
    for guess in draft.guesses:
        say(f"  look at: {guess}")
    say(f"next: dis2-edge data check {args.data} --describe {out} --out out/check")
    return 0


def _check(args: argparse.Namespace) -> int:
    dataset = open_dataset(args.data, args.describe)
    found = datacheck.check(dataset)
    height, width = dataset.task.grid
    table(f"{dataset.name}: sensors, grid {height}x{width}", *datacheck.sensor_rows(dataset, found))
    table("class shares, per cent of labelled pixels (ignore: of all)", *datacheck.class_rows(dataset, found))
    laid = registration.offsets(dataset)
    if laid:
        table(f"edges against those of {dataset.task.sensors[0].name}, in pixels of the grid", *registration.rows(laid))
    told = [
        *datacheck.warnings_of(dataset, found),
        *registration.warnings_of(laid, dataset),
        *polarity.warnings_of(polarity.polarities(dataset), dataset),
    ]
    for warning in told:
        warn(warning)
    if args.out:
        datacheck.write_sheet(dataset, args.out / "sheet.png", rows=max(1, args.rows))
        say(f"sheet: {args.out / 'sheet.png'}")
    return 0


def _synth(args: argparse.Namespace) -> int:
    synthesise(args.out, args.kind, args.count, args.size, args.seed)
    say(f"written: {args.out}")
    say(f"next: dis2-edge data check {args.out} --out out/check")
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from dis2_train.published.prepare import Choices, prepare  # needs rasterio, which the other words do not

    variants = {"optical": args.optical, "height": args.height, "thermal": args.thermal}
    choices = Choices(
        tile=args.tile,
        overlap=args.overlap,
        variants={kind: name for kind, name in variants.items() if name},
        labels=args.labels,
        unit_per_grey=args.metres_per_grey,
        colour_tolerance=args.colour_tolerance,
        resample=args.resample,
        partial=args.partial,
    )
    counts = prepare(args.name, args.raw, args.out, choices)
    table("tiles; classes in per cent of labelled pixels, ignored in per cent of all", *counts.rows())
    for name, pixels in counts.off_colour.items():
        if pixels:
            say(f"{name}: {pixels} pixels had a colour a little off its class's, and were taken for it")
    say(f"written: {args.out}")
    say(f"next: dis2-edge data check {args.out} --out out/check")
    return 0
