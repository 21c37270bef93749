"""A finished run as torch-tensorrt runs it: every scenario's flying module compiled before the first is asked for."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dis2_edge.terminal import progress
from dis2_train.segmenters.frames import check_scenario
from dis2_train.segmenters.run import RunSegmenter, blank
from dis2_train.segmenters.segmenter import Frames
from dis2_train.segmenters.tensorrt import Compiled, answer_of, compile_module, gpu


class CompiledSegmenter(RunSegmenter):
    """A trained network on the GPU, one static TensorRT module a scenario, a frame at a time as it flies."""

    def __init__(self, run: Path, *, half: bool = False) -> None:
        super().__init__(run, device=str(gpu()))
        self.precision = "fp16" if half else "fp32"
        self._type = torch.float16 if half else torch.float32
        self._plain_label, self.label = self.label, f"{self.label} by torch-tensorrt{'-fp16' if half else ''}"
        self.compiled: dict[str, Compiled] = {
            scenario: self._compile(scenario, half)
            for scenario in progress(self.scenarios, f"compile {self.label}", len(self.scenarios))
        }

    def flying(self, scenario: str) -> tuple[nn.Module, list[Tensor]]:
        """See `RunSegmenter.flying`."""
        _, inputs = super().flying(scenario)
        return self.compiled[scenario].module, [tensor.to(self._type) for tensor in inputs]

    def parts(self, scenario: str) -> dict[str, int]:
        """How many TensorRT engines stand in the scenario's module, and operations that were left to torch."""
        return {"engines": self.compiled[scenario].engines, "torch_operations": self.compiled[scenario].left}

    def _compile(self, scenario: str, half: bool) -> Compiled:
        module = self._network.deployable(scenario)
        inputs = blank(self.task, scenario, self.device)
        return compile_module(module, inputs, half, self._where(scenario))

    def _logits(self, frames: Frames, scenario: str) -> Tensor:
        check_scenario(scenario, self.scenarios, self.label)
        inputs = [tensor.to(self._type) for tensor in self._inputs(frames, scenario).values()]
        compiled, where = self.compiled[scenario], self._where(scenario)
        with torch.inference_mode():
            singles = zip(*(tensor.split(1) for tensor in inputs), strict=True)
            return torch.cat([answer_of(compiled, one, where) for one in singles]).float()

    def _where(self, scenario: str) -> str:
        return f"scenario {scenario!r} of {self._plain_label}"
