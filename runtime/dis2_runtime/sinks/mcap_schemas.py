"""What the JSON channels of our recordings hold, as JSON schemas: telemetry rows, and poses as Foxglove knows them."""

from __future__ import annotations

import json
import math
from typing import Any

from dis2_edge.task import Task
from dis2_runtime.poses.pose import Pose

_NUMBER, _WHOLE, _TEXT, _TRUTH = ({"type": kind} for kind in ("number", "integer", "string", "boolean"))
_TIME = {"type": "object", "properties": {"sec": _WHOLE, "nsec": _WHOLE}}
_SENSOR = {
    "health": _TEXT,
    "reason": _TEXT,
    "used": _TRUTH,
    "left_out": _TEXT,
    "frame": _WHOLE,
    "age_ms": _NUMBER,
    "stamp": _TEXT,
    "dropped": _WHOLE,
    "holes": _WHOLE,
}
_POSE = {**dict.fromkeys(("x", "y", "heading_deg", "gsd_m"), _NUMBER), "epsg": _WHOLE}
_BOARD = {
    **dict.fromkeys(("power_w", "hottest_c", "gpu_load", "gpu_mhz", "cpu_mhz", "age_ms"), _NUMBER),
    "power_mode": _TEXT,
}
_STAGES = ("health", "align", "engine", "sink")
_ROW = {
    "tick": _WHOLE,
    "time_ms": _NUMBER,
    "cause": _TEXT,
    "scenario": _TEXT,
    "why": _TEXT,
    "state": _TEXT,
    "mask_age_ms": _NUMBER,
    "expected_miou": _NUMBER,
    "engine": _TEXT,
    "confidence": _NUMBER,
    "pose": {
        "type": "object",
        "properties": {**dict.fromkeys(("x", "y", "heading_deg", "gsd_m"), _NUMBER), "epsg": _WHOLE},
    },
    "latency_ms": _NUMBER,
}


def telemetry_schema(task: Task) -> bytes:
    """The schema of a telemetry row of `task`: docs/sinks.md tells its fields. What is null is left out."""
    sensors = {name: _object(_SENSOR) for name in task.sensor_names}
    stages = {**_object(dict.fromkeys(_STAGES, _NUMBER)), "additionalProperties": _NUMBER}
    schema = _object(
        {**_ROW, "pose": _object(_POSE), "board": _object(_BOARD), "sensors": _object(sensors), "stages_ms": stages}
    )
    return json.dumps({"title": "dis2_edge.Telemetry", **schema}).encode()


def pose_schema() -> bytes:
    """The schema of foxglove.PoseInFrame."""
    axes = dict.fromkeys("xyz", _NUMBER)
    pose = _object({"position": _object(axes), "orientation": _object({**axes, "w": _NUMBER})})
    schema = _object({"timestamp": _TIME, "frame_id": _TEXT, "pose": pose})
    return json.dumps({"title": "foxglove.PoseInFrame", **schema}).encode()


def pose_row(pose: Pose, log_ns: int) -> dict[str, Any]:
    """`pose` as a foxglove.PoseInFrame: metres east and north in the frame EPSG:NUMBER, x forward, z up."""
    half_turn = math.radians(90 - pose.heading_deg) / 2
    return {
        "timestamp": dict(zip(("sec", "nsec"), divmod(log_ns, 10**9), strict=True)),
        "frame_id": f"EPSG:{pose.epsg}",
        "pose": {
            "position": {"x": pose.x, "y": pose.y, "z": 0.0},
            "orientation": {"x": 0.0, "y": 0.0, "z": math.sin(half_turn), "w": math.cos(half_turn)},
        },
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}
