"""Sink `mcap`: what is written is read back, by others' readers too; killed, cut or full, it keeps all whole chunks.

The embedded descriptor was compared with Foxglove's published schemas: install foxglove-schemas-protobuf and
mcap-protobuf-support, and the tests that are skipped without them do it again.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from opened import ROOTS, flight_words
from PIL import Image
from tiny_bundle import NDSM, RGB, task_of, write_scene

from dis2_boards.telemetry import Reading
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.errors import SourceError, StorageError
from dis2_runtime.health.judge import Health
from dis2_runtime.messages.recording import Recording
from dis2_runtime.outcome import Outcome, SensorNote
from dis2_runtime.poses.pose import Pose
from dis2_runtime.sinks import open_sinks
from dis2_runtime.sinks.mcap import McapSink
from dis2_runtime.sinks.mcap_file import McapFile
from dis2_runtime.sources import make_source, parse
from dis2_runtime.ticks import Tick

TASK = task_of(RGB, NDSM)
GRID = TASK.grid


def outcome(number: int, mask: np.ndarray | None = None, pose: Pose | None = None) -> Outcome:
    note = SensorNote(Health("ok", ""), True, "", number, age_ms=8.5, stamped=True, dropped=0, holes=0)
    made = np.random.default_rng(number).integers(0, 2, GRID, np.uint8) if mask is None else mask
    tick = Tick(number, number * 100_000_000, "rate")
    return Outcome(tick, made, "fresh", 0.0, "rgb+ndsm", "all sensors", None, 0.9, {"rgb": note}, pose=pose)


def written(folder: Path, outcomes: list[Outcome], *, sync_each: int = 0) -> Path:
    sink = McapSink(folder, TASK)
    for number, made in enumerate(outcomes):
        sink.write(made)
        if sync_each and number % sync_each == 0:
            sink.sync()
    sink.close()
    return folder / "flight.mcap"


def rows(file: Path, topic: str) -> list[tuple[int, bytes]]:
    """Log time and data of what is whole."""
    recording, found = Recording(file), []
    try:
        found.extend((logged.time_ns, logged.data) for logged in recording.messages(topic))
    except SourceError:
        pass
    finally:
        recording.close()
    return found


def test_masks_rows_and_poses_are_found_by_a_foreign_reader_in_order_and_at_their_times(tmp_path) -> None:
    pose = Pose(500_000.0, 5_400_000.0, 90.0, 0.1, 32633)
    before_ns = time.time_ns()
    file = written(tmp_path, [outcome(n, pose=pose if n >= 5 else None) for n in range(20)], sync_each=3)
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        found = [(schema.name, channel.topic, message) for schema, channel, message in reader.iter_messages()]
    assert summary.statistics.message_count == len(found) == 20 + 20 + 15
    assert [name for name, topic, _ in found[:2]] == ["foxglove.CompressedImage", "dis2_edge.Telemetry"]
    telemetry = [message for _, topic, message in found if topic == "/telemetry"]
    assert (
        [json.loads(message.data)["tick"] for message in telemetry]
        == list(range(20))
        == [m.sequence for m in telemetry]
    )
    assert all(abs(m.log_time - before_ns - n * 100_000_000) < 5e9 for n, m in enumerate(telemetry))
    assert np.diff([message.log_time for message in telemetry]).tolist() == [100_000_000] * 19
    north = json.loads(next(message.data for _, topic, message in found if topic == "/pose"))
    assert north["frame_id"] == "EPSG:32633"
    assert north["pose"]["orientation"] == {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}  # east is ROS's x


def test_sequential_reader_with_all_checksums_reads_to_the_footer(tmp_path) -> None:
    file = written(tmp_path, [outcome(n) for n in range(8)], sync_each=2)
    with file.open("rb") as stream:
        names = [type(record).__name__ for record in StreamReader(stream, validate_crcs=True).records]
    assert names[-1] == "Footer"
    assert names.count("Message") == 16


def test_summary_checksum_is_that_of_the_specification(tmp_path) -> None:
    content = written(tmp_path, [outcome(0)]).read_bytes()
    footer = content[-8 - 29 : -8]
    start, _, checksum = struct.unpack("<QQI", footer[9:])
    assert checksum == zlib.crc32(content[start : -8 - 29] + footer[:25])


def test_mask_is_a_palette_picture_and_comes_back_through_our_own_source(tmp_path) -> None:
    mask = np.where(np.indices(GRID).sum(0) % 7 < 3, 1, 0).astype(np.uint8)
    mask[0, 0] = TASK.ignore
    file = written(tmp_path, [outcome(0, mask), outcome(1, mask), outcome(2)])
    source = make_source(RGB, GRID, parse(f"mcap:{file}"))
    source.open()
    frame = source.next().frame
    source.close()
    colours = np.array([(0x20, 0x40, 0x80), (0xF0, 0xE0, 0x20)], np.uint8)
    np.testing.assert_array_equal(frame.pixels[1:], colours[mask[1:]])
    assert tuple(frame.pixels[0, 0]) == (128, 128, 128)
    assert frame.stamped
    (_, first), (_, second), _ = rows(file, "/mask")
    picture = Image.open(io.BytesIO(first[first.index(b"\x89PNG") :]))
    np.testing.assert_array_equal(np.asarray(picture), mask)
    assert first[first.index(b"\x89PNG") :] == second[second.index(b"\x89PNG") :]


def test_rows_fit_their_schema_and_null_is_left_out(tmp_path) -> None:
    file = written(tmp_path, [outcome(0, pose=Pose(1.0, 2.0, 3.0, 0.1, 32633))])
    ((_, data),) = rows(file, "/telemetry")
    with file.open("rb") as stream:
        schemas = make_reader(stream).get_summary().schemas.values()
    schema = next(json.loads(schema.data) for schema in schemas if schema.name == "dis2_edge.Telemetry")
    row = json.loads(data)
    assert "expected_miou" not in row
    kinds = {"integer": int, "number": (int, float), "string": str, "boolean": bool, "object": dict}

    def check(value, described) -> None:
        assert isinstance(value, kinds[described["type"]])
        if described["type"] == "object":
            for key, inner in value.items():
                check(inner, described["properties"].get(key) or described["additionalProperties"])

    check(row, schema)
    full = set(Outcome.row(dataclasses.replace(outcome(0), expected_miou=0.5)))
    assert full == set(schema["properties"])
    assert set(row["sensors"]["rgb"]) == set(schema["properties"]["sensors"]["properties"]["rgb"]["properties"])
    assert set(Reading(power_w=1.0).row() or {}) | {"age_ms"} == set(schema["properties"]["board"]["properties"])
    assert set(row["pose"]) == set(schema["properties"]["pose"]["properties"])


def test_cut_anywhere_it_gives_every_chunk_before_the_cut(tmp_path) -> None:
    whole = written(tmp_path, [outcome(n) for n in range(30)], sync_each=3).read_bytes()
    cut = tmp_path / "cut.mcap"
    counts = []
    for size in sorted(np.random.default_rng(0).integers(8, len(whole), 60)):
        cut.write_bytes(whole[:size])
        found = rows(cut, "/telemetry")
        assert [json.loads(data)["tick"] for _, data in found] == list(range(len(found)))
        assert len(rows(cut, "/mask")) == len(found)
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] >= 28


def test_full_disk_loses_a_chunk_and_the_file_goes_on(tmp_path, monkeypatch) -> None:
    sink, real, full = McapSink(tmp_path, TASK), os.write, []

    def scarce(handle: int, data: memoryview) -> int:
        if full and len(data) > 10:
            real(handle, bytes(data[:10]))
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(os, "write", scarce)
    for number in range(9):
        sink.write(outcome(number))
        full[:] = [True] if number in (3, 4, 5) else []
        if full:
            with pytest.raises(StorageError, match="no space left while writing"):
                sink.sync()
        else:
            sink.sync()
    sink.close()
    file = tmp_path / "flight.mcap"
    assert [json.loads(data)["tick"] for _, data in rows(file, "/telemetry")] == [0, 1, 2, 6, 7, 8]
    recording = Recording(file)
    assert recording.indexed
    recording.close()


def test_other_sinks_do_without_the_package(tmp_path, monkeypatch) -> None:
    for name in [
        name for name in sys.modules if name.split(".")[0] == "mcap" or name.startswith("dis2_runtime.sinks.mcap")
    ]:
        monkeypatch.setitem(sys.modules, name, None)
    sinks = open_sinks(["png", "telemetry"], tmp_path, TASK)
    for sink in sinks.values():
        sink.close()


def test_folder_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        open_sinks(["mcap"], tmp_path / "file" / "out", TASK)


def test_old_chunk_is_closed_with_the_next_tick_and_an_empty_one_never(tmp_path, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sink, sizes = McapSink(tmp_path, TASK), []
    for number in range(12):
        now[0] = number * 0.1
        sink.write(outcome(number))
        sizes.append((tmp_path / "flight.mcap").stat().st_size)
    assert [number for number in range(1, 12) if sizes[number] > sizes[number - 1]] == [4, 8]
    sink.sync()
    size = (tmp_path / "flight.mcap").stat().st_size
    sink.sync()
    assert (tmp_path / "flight.mcap").stat().st_size == size > sizes[-1]
    sink.close()
    sink.close()


def test_index_of_a_long_flight_stays_small(tmp_path) -> None:
    file = McapFile(tmp_path / "a.mcap")
    channel = file.channel("/t", "json", "T", "jsonschema", b"{}")
    for number in range(500):
        file.add(channel, number, number, b"{}")
        file.sync()
    assert len(file._index) <= 110 * 500
    file.close()


def test_killed_at_any_moment_the_last_second_is_all_that_is_lost(two: Bundle, tmp_path) -> None:
    scene = write_scene(tmp_path / "scene", TASK)
    (tmp_path / "rig.toml").write_text('sinks = ["telemetry", "mcap"]\n')
    code = "import sys; from dis2_edge.cli import main; sys.exit(main(sys.argv[1:]))"
    for number, seconds in enumerate((1.37, 0.71)):
        out = tmp_path / f"out{number}"
        words = ["run", str(two.path), "--rig", str(tmp_path / "rig.toml"), "--out", str(out), *flight_words(scene)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, ROOTS))}
        process = subprocess.Popen([sys.executable, "-c", code, *words], env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (out / "telemetry.jsonl").exists():
            time.sleep(0.02)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = [json.loads(line) for line in (out / "telemetry.jsonl").read_text().splitlines()]
        kept = [json.loads(data) for _, data in rows(out / "flight.mcap", "/telemetry")]
        assert [row["tick"] for row in kept] == list(range(len(kept)))
        assert kept
        assert told[-1]["time_ms"] - kept[-1]["time_ms"] < 1000


def test_run_writes_it_and_the_recording_flies_again(two: Bundle, tmp_path, capsys) -> None:
    scene = write_scene(tmp_path / "scene", TASK)
    (tmp_path / "rig.toml").write_text('sinks = ["mcap"]\n')
    out, rig = tmp_path / "out", ["--rig", str(tmp_path / "rig.toml")]
    limits = ["--speed", "max", "--ticks", "30"]
    assert main(["run", str(two.path), *rig, "--out", str(out), *limits, *flight_words(scene)]) == 0
    assert len(rows(out / "flight.mcap", "/mask")) == len(rows(out / "flight.mcap", "/telemetry")) == 30
    again = ["run", str(two.path), *rig, "--out", str(tmp_path / "again"), "--speed", "max"]
    assert main([*again, "--source", f"rgb=mcap:{out / 'flight.mcap'}?topic=/mask"]) == 0, capsys.readouterr().err


def test_cost_of_a_tick_is_milliseconds(tmp_path) -> None:
    task = task_of(RGB, NDSM, grid=(512, 512))
    waves = np.sin(np.mgrid[:512, :512] / 40).sum(0)
    sink, spent = McapSink(tmp_path, task), []
    for number in range(10):
        made = outcome(number, (waves > math.sin(number)).astype(np.uint8))
        begin = time.perf_counter()
        sink.write(made)
        spent.append(time.perf_counter() - begin)
    sink.close()
    assert sorted(spent)[5] < 0.03


def test_descriptor_and_messages_are_those_of_foxgloves_published_schemas(tmp_path) -> None:
    protobuf = pytest.importorskip("mcap_protobuf.decoder", reason="mcap-protobuf-support is not installed")
    published = pytest.importorskip(
        "foxglove_schemas_protobuf.CompressedImage_pb2", reason="not installed"
    ).CompressedImage
    file = written(tmp_path, [outcome(n) for n in range(3)])
    with file.open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[protobuf.DecoderFactory()])
        decoded = [found.decoded_message for found in reader.iter_decoded_messages(topics=["/mask"])]
    ours, theirs = decoded[0].DESCRIPTOR, published.DESCRIPTOR
    assert ours.full_name == theirs.full_name
    for field in theirs.fields:
        mine = ours.fields_by_name[field.name]
        assert (mine.number, mine.type) == (field.number, field.type)
    assert published.FromString(decoded[0].SerializeToString()).format == "png"
    image = Image.open(io.BytesIO(published.FromString(decoded[2].SerializeToString()).data))
    np.testing.assert_array_equal(np.asarray(image), outcome(2).mask)
