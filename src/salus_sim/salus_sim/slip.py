"""Oil between the fingers and what they hold: it sinks steadily instead of falling at once.

A film of fluid resists with a force that grows with the sliding speed (Newtonian shear), so a held
object sinks at the speed at which that force carries its weight. Worlds have dry friction only;
its coefficient is therefore set anew all the time, as a function of the sliding speed.
"""

from __future__ import annotations

from salus_sim.faults import OBJECT_SLIP, FaultInjector
from salus_sim.scenario import Scenario

GRAVITY = 9.81  # [m/s^2]
PAD_LOW, PAD_HIGH, PAD_HALF_WIDTH = 0.008, 0.016, 0.009
"""How far a finger pad reaches below and above the tool point, and to either side [m]."""

_LEAST_OVERLAP = 0.1
_LEAST_GRIP = 1.0  # [N]


def creep_at(scenario: Scenario, faults: FaultInjector, step: int) -> float:
    """How fast the target sinks between fingers at rest during a step [m/s]; 0: it is dry."""
    slip = faults.active(OBJECT_SLIP, step)
    return max(scenario.objects[scenario.target].creep, slip.magnitude if slip else 0.0)


def pad_overlap(across: float, up: float, half: float) -> float:
    """Share of the pads' area that lies on a held cube, at least a tenth.

    A film's resistance is proportional to its area: who holds a cube by its edge, or high up, loses
    it sooner, and the more it has sunk the faster it goes.

    Args:
        across: the cube's centre from the tool point, across the fingers' motion [m].
        up: the same upwards [m].
        half: half the cube's edge [m].
    """
    wide = min(across + half, PAD_HALF_WIDTH) - max(across - half, -PAD_HALF_WIDTH)
    high = min(up + half, PAD_HIGH) - max(up - half, -PAD_LOW)
    share = max(wide, 0.0) * max(high, 0.0) / (2 * PAD_HALF_WIDTH * (PAD_LOW + PAD_HIGH))
    return max(share, _LEAST_OVERLAP)


def film_friction(
    mass: float, creep: float, sliding: float, grip: float, stiffness: float, dry: float
) -> float:
    """Friction coefficient at which an object held by two fingers sinks at the speed `creep`.

    Args:
        mass: of the object [kg].
        creep: speed at which it sinks in a hand at rest [m/s].
        sliding: its present speed relative to the hand [m/s].
        grip: normal force of each finger [N].
        stiffness: how fast the speed returns to `creep` [1/s]; below one over the time between two
            calls.
        dry: the coefficient that is never exceeded.
    """
    force = mass * (GRAVITY + stiffness * (sliding - creep))
    return min(max(force / (2.0 * max(grip, _LEAST_GRIP)), 1e-3), dry)
