"""What an episode starts from, drawn from its seed: poses, colours, light, cameras, instruction."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from salus_sim.scene import Scene, SceneError

INSTRUCTIONS = (
    "pick up the {color} cube and place it on the goal",
    "put the {color} cube on the white disc",
    "move the {color} block to the goal",
    "take the {color} cube and set it down on the goal",
)
GOAL_CLEARANCE = 0.14  # of the target's start from the goal's centre [m]
OBJECT_CLEARANCE = 0.105  # between objects' centres, so that the open hand fits [m]


@dataclass
class ObjectStart:
    """A manipulable object's start: position (3,) of its centre, yaw, half edge length."""

    position: np.ndarray
    yaw: float
    half_size: float


@dataclass
class Scenario:
    """Everything random about an episode except its faults.

    Attributes:
        objects: the present objects by name, lying on the table (z = 0).
        target: name of the object that the instruction means.
        goal: (2,) centre of the goal on the table [m].
        obstacle: (6,) centre x, y, yaw and half sizes x, y, height [m, rad], or None.
        joints: (7,) starting pose of the arm [rad].
        light: factor on the light's intensity.
        light_position: (3,) [m].
        camera_offsets: per camera (6,): shift [m] and rotation vector [rad].
        table_color: (3,) rgb.
        instruction: the sentence given to the policy.
    """

    seed: int
    difficulty: str
    objects: dict[str, ObjectStart]
    target: str
    goal: np.ndarray
    obstacle: np.ndarray | None
    joints: np.ndarray
    light: float
    light_position: np.ndarray
    camera_offsets: dict[str, np.ndarray] = field(default_factory=dict)
    table_color: np.ndarray = field(default_factory=lambda: np.array([0.75, 0.73, 0.70]))
    instruction: str = ""


def color_of(object_name: str) -> str:
    """The word for an object's colour: 'red_cube' -> 'red'."""
    return object_name.split("_")[0]


def sample_scenario(scene: Scene, seed: int, difficulty: str, instruction: str = "") -> Scenario:
    """Draw the scenario that belongs to a seed and a difficulty.

    Args:
        scene: the scene's numbers.
        seed: any non-negative integer; the same seed gives the same scenario.
        difficulty: a key of the scene's difficulties.
        instruction: replaces the seed's own sentence; it must name a colour of the scene.

    Raises:
        SceneError: unknown difficulty, or an instruction that names no known colour.
    """
    ranges = scene.difficulty(difficulty)
    rng = np.random.default_rng([seed, 0])
    names = list(scene.objects["names"])
    target = names[rng.integers(len(names))]
    template = INSTRUCTIONS[rng.integers(len(INSTRUCTIONS))]
    if instruction:
        target = _object_in(instruction, names)
    low, high = ranges["distractors"]
    others = [name for name in names if name != target]
    rng.shuffle(others)
    present = [target, *others[: rng.integers(low, high + 1)]]

    goal, positions, obstacle = _layout(rng, ranges, len(present))
    objects = {}
    for name, position in zip(present, positions, strict=True):
        half = rng.uniform(*ranges["object_half_size"])
        objects[name] = ObjectStart(
            np.array([*position, half]), rng.uniform(*ranges["yaw"]), float(half)
        )
    shift, turn = ranges["camera_jitter"]
    cameras = [name for name, value in scene.cameras.items() if isinstance(value, dict)]
    return Scenario(
        seed=seed,
        difficulty=difficulty,
        objects=objects,
        target=target,
        goal=goal,
        obstacle=obstacle,
        joints=np.array(scene.arm["rest"])
        + ranges["rest_jitter"] * rng.uniform(-1.0, 1.0, len(scene.arm["rest"])),
        light=float(rng.uniform(*ranges["light"])),
        light_position=np.array([rng.uniform(0.1, 0.9), rng.uniform(-0.5, 0.5), 1.6]),
        camera_offsets={
            name: np.concatenate([shift * rng.standard_normal(3), turn * rng.standard_normal(3)])
            for name in cameras
        },
        table_color=np.array([0.75, 0.73, 0.70]) * rng.uniform(0.85, 1.1),
        instruction=instruction or template.format(color=color_of(target)),
    )


def _object_in(instruction: str, names: list[str]) -> str:
    words = instruction.lower().replace(",", " ").replace(".", " ").split()
    for name in names:
        if color_of(name) in words:
            return name
    known = ", ".join(color_of(name) for name in names)
    raise SceneError(f"instruction '{instruction}' names no object: use one of {known}")


def _layout(rng: np.random.Generator, ranges: dict, count: int):
    """Goal, `count` object positions (target first) and obstacle that leave room for the hand."""
    low = np.array([ranges["work_x"][0], ranges["work_y"][0]])
    high = np.array([ranges["work_x"][1], ranges["work_y"][1]])
    has_obstacle = rng.uniform() < ranges["obstacle_probability"]
    while True:
        goal, target = rng.uniform(low, high), rng.uniform(low, high)
        distance = np.linalg.norm(goal - target)
        if distance < (2 * GOAL_CLEARANCE if has_obstacle else GOAL_CLEARANCE):
            continue
        obstacle = None
        if has_obstacle:
            along = (goal - target) / distance
            # Nearer to the target than GOAL_CLEARANCE the hand could not come down beside it.
            part = rng.uniform(GOAL_CLEARANCE, distance - GOAL_CLEARANCE) / distance
            side = rng.uniform(-0.03, 0.03)
            centre = target + part * (goal - target) + side * np.array([-along[1], along[0]])
            obstacle = np.array(
                [
                    *centre,
                    np.arctan2(along[1], along[0]),
                    rng.uniform(0.012, 0.022),
                    rng.uniform(0.035, 0.07),
                    rng.uniform(*ranges["obstacle_height"]),
                ]
            )
        positions = [target]
        for _ in range(200):
            if len(positions) == count:
                return goal, positions, obstacle
            other = rng.uniform(low, high)
            free = all(np.linalg.norm(other - p) > OBJECT_CLEARANCE for p in [*positions, goal])
            if free and (obstacle is None or np.linalg.norm(other - obstacle[:2]) > 0.12):
                positions.append(other)
