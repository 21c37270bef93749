"""The campaign: every kind of fault on every sensor, judged tick by tick against what the fault must lead to."""

from __future__ import annotations

from dis2_runtime.campaign.fly import Campaign, run_campaign
from dis2_runtime.campaign.judge import Judged
from dis2_runtime.campaign.plan import Leg, plan_legs

__all__ = ["Campaign", "Judged", "Leg", "plan_legs", "run_campaign"]
