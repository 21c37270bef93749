"""`dis2-edge bundle verify|prove|show`: hold a bundle to its goldens, choose what flies here, print its manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_boards.trust.signing import told
from dis2_boards.trust.signing import verify as verify_signature
from dis2_boards.trust.trusted import ROOT, trusted
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import WANTED, Wanted
from dis2_edge.terminal import say, table
from dis2_runtime.verbs import bundle_prove

EXAMPLE = "dis2-edge bundle verify bundles/ombria"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="verify|prove|show")
    for name, text in (
        ("verify", "recompute every hash and golden"),
        ("prove", "load, prove and time every model that could fly here, choose which do"),
        ("show", "print the manifest for people"),
    ):
        action = verbs.add_parser(name, help=text, description=text)
        action.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `dis2-edge deploy` made")
        if name in ("verify", "show"):
            action.add_argument(
                "--root",
                type=Path,
                default=ROOT,
                help=f"a board's folder, whose trusted keys are known (default: {ROOT})",
            )
        if name == "verify":
            action.add_argument("--signed", action="store_true", help="refuse a bundle that no trusted key signed")
            action.add_argument("--threads", type=int, default=0, help="threads of the engine (default: all cores)")
            action.add_argument(
                "--engine",
                choices=WANTED,
                default="auto",
                help="prove only the models of that engine (auto: all; those for TensorRT are built, in minutes)",
            )
        if name == "prove":
            bundle_prove.configure(action)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    if args.action == "prove":
        return bundle_prove.run(args)
    if args.action == "verify" and args.signed:
        verify_signature(bundles.read(args.bundle), trusted(args.root))
    if args.action == "show":
        show(bundles.read(args.bundle), args.root)
    else:
        _verify(args.bundle, args.threads, args.engine)
        say(told(bundles.read(args.bundle), trusted(args.root)))
    return 0


def show(bundle: Bundle, root: Path = ROOT) -> None:
    """Print sensors, models and files of `bundle`. It says nothing of hashes: `verify` does."""
    manifest, task = bundle.manifest, bundle.manifest.task
    say(f"{manifest.name} (bundle {bundle.id}, format {manifest.format}) for the board {manifest.board}")
    say(told(bundle, trusted(root)))
    say(f"network {manifest.network}, recipe {manifest.recipe_hash}; grid {task.grid[0]} x {task.grid[1]} pixels")
    say("classes: " + ", ".join(f"{index} {name}" for index, name in enumerate(task.classes)))
    say(
        f"policy: {'a tick a frame of ' + manifest.policy.anchor if manifest.policy.anchor else 'fixed rate'}, "
        f"{manifest.policy.rate_hz:g} Hz; a lost sensor returns after {manifest.policy.return_after} good frames; "
        f"blind, the last mask is held for {manifest.policy.hold_ms:g} ms"
    )
    table(
        "Sensors",
        ("name", "kind", "frame", "unit", "valid", "rate (Hz)", "max age (ms)"),
        [
            (
                s.name,
                s.kind,
                f"{s.channels} x {s.dtype}",
                s.unit,
                f"{s.valid_min:g}..{s.valid_max:g}",
                f"{s.rate_hz:g}",
                f"{s.max_age_ms:g}",
            )
            for s in task.sensors
        ],
    )
    table(
        "Models",
        ("scenario", "precision", "dialect", "io", "mIoU (%)", "file"),
        [
            (
                row.scenario,
                row.precision,
                row.dialect,
                row.io,
                "-" if row.miou is None else f"{100 * row.miou:.2f}",
                row.file,
            )
            for row in manifest.models
        ],
    )
    table(
        "Files",
        ("file", "bytes", "SHA-256"),
        [(name, row.bytes, f"{row.sha256[:16]}...") for name, row in sorted(manifest.files.items())],
    )
    if manifest.provenance:
        table("Provenance", ("what", "value"), sorted(manifest.provenance.items()))


def _verify(path: Path, threads: int, engine: Wanted) -> None:
    from dis2_runtime.selftest.verify import verify

    checks = verify(path, threads, engine)
    rows = [
        (
            check.row.scenario,
            check.row.precision,
            check.goldens,
            f"{check.agreement:.4f}",
            f"{check.row.golden_agreement:.4f}",
            f"{check.error:.4f}",
            f"{check.row.golden_error:.4f}",
        )
        for check in checks
    ]
    columns = ("scenario", "precision", "goldens", "agreement", "at least", "confidence error", "at most")
    table("Goldens", columns, rows)
    left = len(bundles.read(path).manifest.models) - len(checks)
    rest = f"; {left} models of another engine were not run" if left else ""
    say(f"{path}: every file and {len(checks)} models are as they were made{rest}")
