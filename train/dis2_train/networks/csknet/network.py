"""CSK-Net: two sensors through shared convolutions, with exchange between them, two decoders and three heads."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks.blocks import ConvUnit
from dis2_train.networks.csknet.branches import TwoBranches, frozen_encoder, full_blocks
from dis2_train.networks.csknet.exchange import LiveExchange, Norms, exchanged_share
from dis2_train.networks.csknet.lesson import Lesson
from dis2_train.networks.csknet.sharing import OneForAll, SharedUnit, as_flown
from dis2_train.networks.csknet.spectral import GatedSpectralUnit, PlainMean
from dis2_train.networks.deeplab.decoder import Decoder, ImagePooling
from dis2_train.networks.deeplab.encoder import Encoder
from dis2_train.networks.deeplab.network import TAPS, Alone, lone_blocks
from dis2_train.networks.deeplab.plan import (
    STAGES,
    Shape,
    blocks_of,
    decoder_plan,
    encoder_plan,
    hidden_width,
    units_of,
)
from dis2_train.networks.flight import flight
from dis2_train.networks.pairs import check_two_sensors
from dis2_train.networks.seam import Frames, Network, Output
from dis2_train.networks.widths import scaled


class CskNet(Network):
    """Two sensors, three scenarios; the scenario of one sensor is a plain DeepLabV3 on it."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__()
        check_two_sensors("csknet", task)
        if recipe.norms == "sensor" or recipe.every_scenario:
            _refuse_draws(recipe)
        self.task, self.recipe = task, recipe
        self.optical = optical_sensor(recipe, task)
        names, hidden = task.sensor_names, hidden_width(recipe)
        plans = {sensor.name: encoder_plan(recipe, sensor.channels) for sensor in task.sensors}
        self.stems = nn.ModuleDict({name: plans[name].pop("stem").unit() for name in names})
        if recipe.shared_stem:
            _share_stem(self.stems, task)
        self.encoder = _shared_encoder(recipe, plans[names[0]], names)
        self.decoders = nn.ModuleDict({name: _own_decoder(recipe, name) for name in names})
        self.poolings = nn.ModuleDict({name: ImagePooling(scaled(recipe.width)[3], hidden) for name in names})
        self.fusion = GatedSpectralUnit(hidden) if recipe.gated_fusion else PlainMean()
        classes = len(task.classes)
        self.heads = nn.ModuleDict({name: nn.Conv2d(hidden, classes, 1) for name in (*names, task.full)})
        self.lesson = Lesson(recipe, task, scaled(recipe.width)[3], self.optical)

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """The scenarios that miss a sensor; the full one is trained in every step."""
        return self.task.scenarios[1:]

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits at the size of `frames`; see `Network.forward`."""
        seen = [frames[name] for name in sensors_of(scenario)]
        found = self._net(scenario)(*seen)
        return Output(found["logits"], {name: found[name] for name in taps})

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Three heads, lone sensors, texture, contrast and pressure; see `dis2_train.networks.csknet.lesson`."""
        return self.lesson.terms(self, frames, target, scenario, progress)

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """The lone sensor's plain DeepLabV3; or both branches with what is exchanged fixed as it is now."""
        return flight(self._net(scenario, frozen=True), len(sensors_of(scenario)), taps)

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """The map at a quarter of the size, the encoder's last and the one before the head; of both, their mean."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Each stage of the encoders, each convolution of the decoders, the gates of the fusion."""
        net = self._net(scenario)
        return lone_blocks(net) if isinstance(net, Alone) else full_blocks(net)

    def taught_by(self) -> Recipe | None:
        """The optical teacher, until it is there: DeepLabV3 on the optical sensor, by the same recipe."""
        return self.lesson.teacher_recipe

    def learn_from(self, teacher: Network) -> None:
        """Take the trained optical teacher; it is kept apart from this network's own weights."""
        self.lesson.take(teacher, self)

    def start_from_teacher(self) -> None:
        """Begin both branches with the optical teacher's weights, with `begin_with = "teacher"`."""
        self.lesson.start(self)

    def figures(self) -> dict[str, float]:
        """`exchanged`: share of the channels where channels are exchanged that carry the other sensor's now, 0..0.5."""
        norms = self.exchanged()
        return {"exchanged": exchanged_share(norms, self.recipe.exchange_threshold)} if norms else {}

    def lone(self, sensor: str, frozen: bool = False) -> Alone:
        """The plain DeepLabV3 of one sensor; `frozen` as it flies."""
        encoder = Encoder([self._encoder_units(sensor, full=False, frozen=frozen)])
        return Alone(encoder, self._decoder(sensor, full=False), self.heads[sensor], self.recipe.output_stride)

    def both(self, frozen: bool = False) -> TwoBranches:
        """Both branches, side by side; `frozen` cuts them to what flies."""
        names, recipe = self.task.sensor_names, self.recipe
        units = [self._encoder_units(name, full=True, frozen=frozen) for name in names]
        if frozen:
            encoder = frozen_encoder(units, self.exchanged(), recipe.exchange_threshold, recipe.strip_exchange)
        else:
            live = LiveExchange(self.exchanged(), recipe.exchange_threshold, recipe.strip_exchange)
            encoder = Encoder(units, live)
        decoders = [self._decoder(name, full=True) for name in names]
        return TwoBranches(encoder, decoders, self.fusion, self.heads[self.task.full], recipe.output_stride)

    def exchanged(self) -> Norms:
        """The batch norms behind which channels are exchanged, by the name of their unit."""
        sites = [inner for stage in self.recipe.channel_exchange for inner, _ in blocks_of(stage)]
        names = self.task.sensor_names
        return {site: [_unit(self.encoder[site]).at(name, full=True).norm for name in names] for site in sites}

    def _net(self, scenario: str, frozen: bool = False) -> Alone | TwoBranches:
        if scenario not in self.task.scenarios:
            raise RecipeError(f"unknown scenario {scenario!r}", expected=" or ".join(self.task.scenarios))
        return self.both(frozen) if scenario == self.task.full else self.lone(scenario, frozen)

    def _encoder_units(self, sensor: str, full: bool, frozen: bool = False) -> Mapping[str, nn.Module]:
        stem = self.stems[sensor]
        assert isinstance(stem, ConvUnit)
        shared = {name: _unit(unit).at(sensor, full) for name, unit in self.encoder.items()}
        return {"stem": as_flown(stem) if frozen else stem, **shared}

    def _decoder(self, sensor: str, full: bool) -> Decoder:
        units = {name: _unit(unit).at(sensor, full) for name, unit in self.decoders[sensor].items()}  # type: ignore[operator]
        return Decoder(units, self.poolings[sensor])  # type: ignore[arg-type]


def optical_sensor(recipe: Recipe, task: Task) -> str:
    """The sensor that the teacher sees: the recipe's, else the one of kind optical; RecipeError where it is unclear."""
    if recipe.optical:
        return task.sensor(recipe.optical).name
    found = [sensor.name for sensor in task.sensors if sensor.kind == "optical"]
    if len(found) != 1:
        kinds = ", ".join(f"{sensor.name} ({sensor.kind})" for sensor in task.sensors)
        mend = f"name the one that the teacher sees: --set optical={task.sensor_names[0]}"
        raise RecipeError(f"of the sensors {kinds} {len(found)} are optical", expected="one", mend=mend)
    return found[0]


def _refuse_draws(recipe: Recipe) -> None:
    """RecipeError where scenarios are weighed that nobody draws."""
    if recipe.scenario_share or recipe.scenario_sampling != "fixed":
        key = "scenario_share" if recipe.scenario_share else "scenario_sampling"
        drawn = "draw one lone sensor a step: --set every_scenario=false --set norms=scenario"
        raise RecipeError(f"{key} has nothing to say where every step trains every scenario", mend=drawn)


def _shared_encoder(recipe: Recipe, plan: Mapping[str, Shape], sensors: tuple[str, ...]) -> nn.ModuleDict:
    """The encoder's units behind the first convolution."""
    mixed = {name for stage in _mixed_stages(recipe) for name in units_of(stage)}
    convs, one_norm = recipe.shared_convs, recipe.norms == "shared"
    return nn.ModuleDict(
        {
            name: SharedUnit(shape, sensors, shared=convs, apart=name in mixed, one_norm=one_norm)
            for name, shape in plan.items()
        }
    )


def _share_stem(stems: nn.ModuleDict, task: Task) -> None:
    """Give both first units one convolution, the wider one's; RecipeError where channels are neither equal nor one."""
    wide, narrow = sorted(task.sensors, key=lambda sensor: -sensor.channels)
    if narrow.channels not in (1, wide.channels):
        told = f"{wide.name} has {wide.channels} channels and {narrow.name} {narrow.channels}"
        raise RecipeError(f"shared_stem: {told}", expected="as many, or one of them 1", mend="--set shared_stem=false")
    shared = stems[wide.name].conv
    assert isinstance(shared, nn.Conv2d)
    stems[narrow.name].conv = shared if narrow.channels == wide.channels else OneForAll(shared)


def _own_decoder(recipe: Recipe, sensor: str) -> nn.ModuleDict:
    apart = bool(_mixed_stages(recipe))
    return nn.ModuleDict(
        {name: SharedUnit(shape, (sensor,), shared=True, apart=apart) for name, shape in decoder_plan(recipe).items()}
    )


def _mixed_stages(recipe: Recipe) -> tuple[int, ...]:
    """Stages whose maps are others side by side than alone, and so have batch norms apart; none as published.

    A stage counts from the first exchange within or before it. So do the decoders, if any stage does.
    """
    begin = (*recipe.channel_exchange, *(stage + 1 for stage in recipe.strip_exchange))
    if recipe.norms == "sensor" or not begin:
        return ()
    return tuple(stage for stage in STAGES if stage >= min(begin))


def _unit(module: nn.Module) -> SharedUnit:
    assert isinstance(module, SharedUnit)
    return module
