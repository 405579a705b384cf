"""What an episode starts from, drawn from its seed: task, poses, colours, light, cameras."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from salus_sim.scene import Scene
from salus_sim.tasks import (
    PUSH,
    PUT_IN,
    STACK,
    Request,
    parse_instruction,
    sample_instruction,
    sample_task,
)

OBSTACLE = "obstacle"  # its name among bodies, contacts and the objects of messages
GOAL_CLEARANCE = 0.13  # of the target's start from the goal's centre [m]
_WALL_CLEARANCE = 0.165  # of a wall from start and goal: the arm leans over it [m]
OBJECT_CLEARANCE = 0.10  # between objects' centres, so that the open hand fits [m]
_TRAY_CLEARANCE = 0.17  # of objects from the tray's centre [m]
_PUSH_CLEARANCE = 0.12  # of other objects from the way of a push [m]
_PUSH_RUN_UP = 0.10  # a push begins so far behind the target [m]
_CREEP_HALF = 0.02  # half edge of a cube that sinks as fast as the scene says [m]
_FIRM_BASE = 0.019  # smallest half edge of a cube that another is stacked on [m]


@dataclass
class ObjectStart:
    """A manipulable object's start: position (3,) of its centre, yaw, half edge length, creep.

    `creep` is how fast it sinks between the fingers [m/s]; 0: not at all. What creeps is oily, and
    tinted, so that cameras can see it.
    """

    position: np.ndarray
    yaw: float
    half_size: float
    creep: float

    @property
    def slippery(self) -> bool:
        """Whether it is oily."""
        return self.creep > 0.0


@dataclass
class Scenario:
    """Everything random about an episode except its faults.

    Attributes:
        objects: the present objects by name, lying on the table (z = 0).
        task: a key of the scene's tasks.
        target: name of the object that the instruction means.
        base: for stack the object below the target; else ''.
        goal: (3,) centre of the surface on which the target must come to rest [m].
        goal_radius: how near to it in the plane [m].
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
    task: str
    target: str
    base: str
    goal: np.ndarray
    goal_radius: float
    obstacle: np.ndarray | None
    joints: np.ndarray
    light: float
    light_position: np.ndarray
    camera_offsets: dict[str, np.ndarray] = field(default_factory=dict)
    table_color: np.ndarray = field(default_factory=lambda: np.array([0.75, 0.73, 0.70]))
    instruction: str = ""


def sample_scenario(
    scene: Scene,
    seed: int,
    difficulty: str,
    instruction: str = "",
    tasks: tuple[str, ...] = (),
    wording: str = "seen",
) -> Scenario:
    """Draw the scenario that belongs to a seed, a difficulty and a choice of tasks.

    Args:
        scene: the scene's numbers.
        seed: any non-negative integer; the same seed gives the same scenario.
        difficulty: a key of the scene's difficulties.
        instruction: replaces the seed's own task and sentence; it must name a colour of the scene.
        tasks: from which the seed draws; empty: all.
        wording: 'seen' in training, or 'unseen': held-out combinations of words.

    Raises:
        SceneError: unknown difficulty, task or wording, or an instruction that names no colour.
    """
    ranges = scene.difficulty(difficulty)
    rng = np.random.default_rng([seed, 0])
    names = list(scene.objects["names"])
    task = sample_task(scene, rng, tasks)
    shuffled = [str(name) for name in rng.permutation(names)]
    request = Request(task, shuffled[0], shuffled[1] if task == STACK else "")
    sentence = sample_instruction(scene, rng, request, wording)
    if instruction:
        request, sentence = parse_instruction(scene, instruction), instruction
    low, high = ranges["distractors"]
    extra = int(rng.integers(low, high + 1))
    others = [name for name in shuffled if name not in (request.target, request.base)]
    first = [request.target, request.base] if request.base else [request.target]

    layout = _Layout(scene, ranges, rng, request.task)
    positions = layout.positions(len(first) + min(extra, len(others)) - bool(request.base))
    if request.base:
        positions.insert(1, layout.goal)
    objects = {}
    for name, position in zip([*first, *others], positions, strict=False):
        half = float(rng.uniform(*ranges["object_half_size"]))
        if name == request.base:
            half = max(half, _FIRM_BASE)
        is_pushed = name == request.target and request.task == PUSH
        if is_pushed:
            half = min(half, float(scene.tasks[PUSH]["largest_half_size"]))
        slippery = rng.uniform() < ranges["slippery_probability"]
        creep = float(rng.uniform(*ranges["slippery_creep"])) * (half / _CREEP_HALF) ** 2
        if name != request.target or request.task in (PUSH, STACK):
            slippery = False  # an oily cube could hardly be stacked
        objects[name] = ObjectStart(
            position=np.array([*position, half]),
            yaw=float(rng.uniform(*ranges["yaw"])),
            half_size=half,
            creep=creep if slippery else 0.0,
        )
    height = 2 * objects[request.base].half_size if request.base else 0.0
    cameras = [name for name, value in scene.cameras.items() if isinstance(value, dict)]
    return Scenario(
        seed=seed,
        difficulty=difficulty,
        objects=objects,
        task=request.task,
        target=request.target,
        base=request.base,
        goal=np.array([*layout.goal, height]),
        goal_radius=float(scene.tasks[request.task]["radius"]),
        obstacle=layout.obstacle,
        joints=np.array(scene.arm["rest"])
        + ranges["rest_jitter"] * rng.uniform(-1.0, 1.0, len(scene.arm["rest"])),
        light=float(rng.uniform(*ranges["light"])),
        light_position=np.array([rng.uniform(0.1, 0.9), rng.uniform(-0.5, 0.5), 1.6]),
        camera_offsets=_camera_offsets(ranges, rng, cameras),
        table_color=np.array([0.75, 0.73, 0.70]) * rng.uniform(0.85, 1.1),
        instruction=sentence,
    )


def _camera_offsets(
    ranges: dict, rng: np.random.Generator, cameras: list[str]
) -> dict[str, np.ndarray]:
    """How far each camera is off its place, (6,) [m, rad]; the wrist's mount may be bent."""
    deviations, draw = ranges["camera_jitter"], rng.uniform()
    found = {name: np.repeat(deviations[name], 3) * rng.standard_normal(6) for name in cameras}
    if draw < ranges["wrist_bent_probability"]:
        found["wrist"][3:] += np.sign(draw - ranges["wrist_bent_probability"] / 2) * np.array(
            ranges["wrist_bend"]
        )
    return found


def _height(ranges: dict, draw: float) -> float:
    """Of the obstacle [m]: usual or tall, by a uniform draw from [0, 1)."""
    share = ranges["tall_obstacle_probability"]
    tall = draw < share
    low, high = ranges["tall_obstacle_height" if tall else "obstacle_height"]
    within = draw / share if tall else (draw - share) / (1.0 - share)
    return low + within * (high - low)


class _Layout:
    """Goal, obstacle and places of objects that leave room for the hand."""

    def __init__(self, scene: Scene, ranges: dict, rng: np.random.Generator, task: str) -> None:
        self._rng, self._task = rng, task
        self._low = np.array([ranges["work_x"][0], ranges["work_y"][0]])
        self._high = np.array([ranges["work_x"][1], ranges["work_y"][1]])
        has_obstacle = rng.uniform() < ranges["obstacle_probability"] and task != PUSH
        nearest, farthest = GOAL_CLEARANCE, np.inf
        if has_obstacle:
            nearest = 2 * _WALL_CLEARANCE
        elif task == PUT_IN:
            nearest = _TRAY_CLEARANCE
        steepest = np.inf  # of the way along x over that along y
        if task == PUSH:
            nearest, farthest = scene.tasks[PUSH]["distance"]
            steepest = np.tan(scene.tasks[PUSH]["aside"])
        while True:
            self.goal, self._target = rng.uniform(self._low, self._high, (2, 2))
            way = np.abs(self.goal - self._target)
            distance = np.linalg.norm(way)
            if nearest <= distance <= farthest and way[0] <= steepest * way[1]:
                break
        self._along = (self.goal - self._target) / distance
        self.obstacle = self._place_obstacle(ranges, distance) if has_obstacle else None

    def positions(self, count: int) -> list[np.ndarray]:
        """`count` places (2,): the target's, then those of others, as many as find room."""
        found = [self._target]
        for _ in range(400):
            if len(found) == count:
                break
            place = self._rng.uniform(self._low, self._high)
            if self._is_free(place, found):
                found.append(place)
        return found

    def _is_free(self, place: np.ndarray, found: list[np.ndarray]) -> bool:
        if any(np.linalg.norm(place - other) <= OBJECT_CLEARANCE for other in found):
            return False
        around_goal = _TRAY_CLEARANCE if self._task == PUT_IN else OBJECT_CLEARANCE
        if np.linalg.norm(place - self.goal) <= around_goal:
            return False
        if self._task == PUSH:
            start = self._target - _PUSH_RUN_UP * self._along
            way = np.clip((place - start) @ self._along, 0.0, np.linalg.norm(self.goal - start))
            if np.linalg.norm(place - start - way * self._along) <= _PUSH_CLEARANCE:
                return False
        return self.obstacle is None or np.linalg.norm(place - self.obstacle[:2]) > 0.12

    def _place_obstacle(self, ranges: dict, distance: float) -> np.ndarray:
        along, rng = self._along, self._rng
        # Nearer to it than that the hand could not come down beside it.
        part = rng.uniform(_WALL_CLEARANCE, distance - _WALL_CLEARANCE)
        side = rng.uniform(-0.03, 0.03)
        centre = self._target + part * along + side * np.array([-along[1], along[0]])
        return np.array(
            [
                *centre,
                np.arctan2(along[1], along[0]),
                rng.uniform(0.012, 0.022),
                rng.uniform(0.035, 0.07),
                _height(ranges, rng.uniform()),
            ]
        )
