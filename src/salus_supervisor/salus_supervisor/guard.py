"""What may go to the robot: a last check of each action, whatever proposed it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ACTION_SIZE = 7
OPEN = 1.0


@dataclass(frozen=True)
class Decision:
    """What is executed instead of or as the proposed action.

    Attributes:
        action: (7,) as in salus_msgs/ActionCommand; finite.
        reason: why it is not the proposed one; empty if it is.
    """

    action: tuple[float, ...]
    reason: str


def check(
    action: Sequence[float], gripper: float, max_translation: float, max_rotation: float
) -> Decision:
    """Pass a sane action on unchanged; hold the pose otherwise.

    Nothing is clipped: an action far out of range says that its source is broken, and a shortened
    version of a broken action is still a broken one.

    Args:
        action: (7,) change of the tool pose in one control period: translation [m], rotation vector
            [rad], and the gripper's opening [0 closed .. 1 open].
        gripper: opening commanded last; kept while holding.
        max_translation: largest norm of the translation [m].
        max_rotation: largest norm of the rotation vector [rad].

    Returns:
        The action, or zero motion with the gripper kept and the reason.
    """
    reason = _objection(action, max_translation, max_rotation)
    if reason:
        return Decision((0.0,) * (ACTION_SIZE - 1) + (gripper,), reason)
    return Decision(tuple(float(value) for value in action), "")


def _objection(action: Sequence[float], max_translation: float, max_rotation: float) -> str:
    names = ("x", "y", "z", "rotation x", "rotation y", "rotation z", "gripper")
    for name, value in zip(names, action, strict=True):
        if not math.isfinite(value):
            return f"proposed {name} is {value}"
    translation = math.hypot(*action[:3])
    if translation > max_translation:
        return f"proposed translation of {translation:.3g} m exceeds {max_translation:.3g} m"
    rotation = math.hypot(*action[3:6])
    if rotation > max_rotation:
        return f"proposed rotation of {rotation:.3g} rad exceeds {max_rotation:.3g} rad"
    if not 0.0 <= action[6] <= 1.0:
        return f"proposed gripper opening of {action[6]:.3g} is not within 0 and 1"
    return ""
