"""The campaign on real data: every kind of fault, every type of source that needs no hardware, one table a bundle.

    python -m benchmarks.campaign BUNDLE ... [--data ../shared/data/ombria_s1s2_flood] [--out out/campaigns]
        [--only folder,video] [--dem-bundle BUNDLE --dem-scene DIR] [--storms 10] [--precision int8]

A BUNDLE reads the sensors `opt` and `sar` of that data. Its test pictures are flown as they are (`folder`, `python`),
as a noisy camera that stands still sees them, with limits that it learns first (`hover`), as a mosaic (`flight`,
`scene`), as lossless videos, as an MCAP recording, and in real time out of a GStreamer pipeline (`gst`) and as live
video on the loopback (`live`, by TCP and UDP). `dem` wants heights: a bundle with `rgb` and `ndsm`, and the scene that
`dis2-edge data synth` writes. Ends with 1 when anything crashed, a tick stayed without an answer, or a sensor's state
was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.campaign_ways import LEARNT_S, Way, dem_way, ways
from dis2_edge import bundle as bundles
from dis2_edge.cli import main as dis2_edge
from dis2_edge.errors import UserError
from dis2_edge.files import read_json, write_text
from dis2_edge.settings import nearest
from dis2_edge.terminal import say
from dis2_runtime.engines import PRECISIONS


def main(argv: Sequence[str] | None = None) -> int:
    """Fly all; 0 when every campaign was without fault."""
    args = _parser().parse_args(argv)
    try:
        return _campaigns(args)
    except UserError as error:
        say(f"error: {error}")
        return 2


def _campaigns(args: argparse.Namespace) -> int:
    worst = 0
    for bundle, way in list(_chosen(args)):
        say(f"\n{bundle.name} over {way.name}:")
        worst = max(worst, _fly(bundle, way, args))
    _sum_up(args.out)
    return worst


def _chosen(args: argparse.Namespace) -> Iterator[tuple[Path, Way]]:
    """Which bundle flies on which way."""
    work = args.out / "made"
    if bool(args.dem_bundle) != bool(args.dem_scene):
        raise UserError("one of --dem-bundle and --dem-scene is missing", expected="both or none")
    for path in [*args.bundles, *([args.dem_bundle] if args.dem_bundle else [])]:
        bundles.read(path)
    found = [(bundle, way) for bundle in args.bundles for way in ways(args.data, work)]
    if args.dem_bundle:
        found.append((args.dem_bundle, dem_way(args.dem_scene, work)))
    known = [way.name for _, way in found]
    only = [name for name in args.only.split(",") if name]
    for name in only:
        if name not in known:
            raise UserError(f"--only: no way {name!r}", mend=nearest(name, known))
    yield from (pair for pair in found if not only or pair[1].name in only)


def _fly(bundle: Path, way: Way, args: argparse.Namespace) -> int:
    words = ["--threads", str(args.threads), "--precision", args.precision, "--storms", str(args.storms)]
    if way.learns:
        limits = args.out / "made" / f"limits-{bundle.name}.toml"
        limits.unlink(missing_ok=True)
        learn = ["health", "fit", str(bundle), *way.sources, "--seconds", str(LEARNT_S), "--out", str(limits)]
        if code := dis2_edge(learn):
            return code
        words += ["--rig", str(limits)]
    out = args.out / f"{bundle.name}-{way.name}"
    with _cameras(way):
        return dis2_edge(["campaign", str(bundle), *words, "--out", str(out), *way.words, *way.sources])


@contextlib.contextmanager
def _cameras(way: Way) -> Iterator[None]:
    """The cameras that send meanwhile, each a process of its own."""
    command = [sys.executable, "-m", "benchmarks.live_camera"]
    with contextlib.ExitStack() as stack:
        for folder, url in way.cameras:
            camera = stack.enter_context(subprocess.Popen([*command, folder, url], stdout=subprocess.PIPE))
            stack.callback(camera.kill)
            if camera.stdout is None or not camera.stdout.readline():
                raise UserError(f"the camera at {url} does not start", mend="look at its message above")
        yield


def _sum_up(out: Path) -> None:
    """One row a campaign, in campaigns.txt."""
    counted = ("flights", "due", "answered", "unanswered", "crashes", "wrong")
    head = ("bundle", "network", "sources", "time", *counted, "p99 ms")
    lines = [head, ("---",) * len(head)]
    for file in sorted(out.glob("*/campaign.json")):
        table = read_json(file, UserError)
        row = table["rows"][-1]
        told = (table["bundle"]["id"], table["bundle"]["network"], file.parent.name.rsplit("-", 1)[1], table["speed"])
        lines.append((*told, *(str(row[key]) for key in (*counted, "p99_ms"))))
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    write_text(out / "campaigns.txt", text + "\n")
    say(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    text = "folders that `dis2-edge deploy` made, for the sensors opt and sar"
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help=text)
    data = Path("../shared/data/ombria_s1s2_flood")
    parser.add_argument("--data", type=Path, default=data, help=f"folder with test/opt and test/sar (default: {data})")
    out = Path("out/campaigns")
    parser.add_argument("--out", type=Path, default=out, help=f"each campaign gets a new folder in it (default: {out})")
    parser.add_argument("--only", default="", metavar="WAY,WAY", help="fly these ways only, such as folder,gst")
    parser.add_argument("--storms", type=int, default=5, metavar="N", help="random storms on each way (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of one inference (default: 1)")
    parser.add_argument("--precision", default="int8", choices=PRECISIONS, help="which models fly (int8)")
    text = "a bundle with the sensors rgb and ndsm, to fly over terrain as well"
    parser.add_argument("--dem-bundle", type=Path, metavar="BUNDLE", help=text)
    parser.add_argument("--dem-scene", type=Path, metavar="DIR", help="its scene, rgb.png and ndsm.tif")
    return parser


if __name__ == "__main__":
    sys.exit(main())
