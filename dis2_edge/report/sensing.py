"""Energy and the machine's sensors in words, for the page and the terminal. What was not measured says so and why."""

from __future__ import annotations

from collections.abc import Mapping

from dis2_edge.report.schema import Measured, Report

NOT_MEASURED = "not measured"


def energies(row: Measured) -> tuple[str, str]:
    """Watts while the model was timed, and joules of one frame."""
    if row.power_w is None or row.joules is None:
        return "–", NOT_MEASURED
    return f"{row.power_w:.1f}", f"{row.joules:.3g}"


def sensed_rows(report: Report) -> list[tuple[str, str]]:
    """What the sensors told over all of the measurement, as (what, in words); empty where nobody read them."""
    found = report.sensed
    if found is None:
        return []
    why = f" ({found.why})" if found.why else ""
    mean, most = found.power_w, found.most_power_w
    rows = [("power", f"{NOT_MEASURED}{why}" if mean is None else f"{mean:.1f} W, at most {most:.1f} W{why}")]
    if found.power_modes:
        rows.append(("power mode", " then ".join(found.power_modes)))
    if found.temperatures_c:
        rows.append(("temperatures", _ranges(found.temperatures_c, "°C")))
    if found.clocks_mhz:
        rows.append(("clocks", _ranges(found.clocks_mhz, "MHz")))
    if found.gpu_load is not None:
        rows.append(("GPU busy", f"{100 * found.gpu_load:.0f} %"))
    return rows


def _ranges(found: Mapping[str, tuple[float, float]], unit: str) -> str:
    return ", ".join(
        f"{name} {low:.0f}" + (f" to {high:.0f}" if round(low) != round(high) else "") + f" {unit}"
        for name, (low, high) in found.items()
    )
