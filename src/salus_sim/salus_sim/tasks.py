"""What an instruction asks for: the tasks, their wordings, and which of them are held out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from salus_sim.scene import Scene, SceneError

PUT_ON, PUT_IN, STACK, PUSH = "put_on", "put_in", "stack", "push"
WORDINGS = ("seen", "unseen")


@dataclass(frozen=True)
class Request:
    """A task and its objects.

    Attributes:
        task: a key of the scene's tasks.
        target: name of the object that the instruction means.
        base: for stack the object below the target; else ''.
    """

    task: str
    target: str
    base: str = ""


def color_of(object_name: str) -> str:
    """The word for an object's colour: 'red_cube' -> 'red'."""
    return object_name.split("_")[0]


def sample_task(scene: Scene, rng: np.random.Generator, tasks: tuple[str, ...]) -> str:
    """One of `tasks` (empty: all) by the scene's shares.

    Raises:
        SceneError: a task is unknown.
    """
    unknown = sorted(set(tasks) - set(scene.tasks))
    if unknown:
        raise SceneError(f"unknown task '{unknown[0]}': use some of {', '.join(scene.tasks)}")
    chance = rng.uniform()  # drawn always, so that the same seed stays alike under any choice
    names = tasks or tuple(scene.tasks)
    shares = np.cumsum([scene.tasks[name]["share"] for name in names])
    return names[int(np.searchsorted(shares / shares[-1], chance))]


def sample_instruction(
    scene: Scene, rng: np.random.Generator, request: Request, wording: str
) -> str:
    """A sentence for the request.

    Every wording is combined with every colour, but each colour with one wording less in what the
    policy is trained on: these combinations of known words are the unseen ones.

    Raises:
        SceneError: `wording` is neither 'seen' nor 'unseen'.
    """
    if wording not in WORDINGS:
        raise SceneError(f"unknown wording '{wording}': use one of {', '.join(WORDINGS)}")
    templates = scene.wordings[request.task]
    held_out = (len(templates) - 1 - list(scene.objects["names"]).index(request.target)) % len(
        templates
    )
    seen = [i for i in range(len(templates)) if i != held_out]
    chosen = seen[int(rng.integers(len(seen)))]
    template = templates[chosen if wording == "seen" else held_out]
    return template.format(color=color_of(request.target), base=color_of(request.base or "_"))


def parse_instruction(scene: Scene, instruction: str) -> Request:
    """What a sentence asks for: one of the wordings, or a sentence with their key words.

    Raises:
        SceneError: it names no object of the scene.
    """
    by_color = {color_of(name): name for name in scene.objects["names"]}
    words = re.findall(r"[a-z]+", instruction.lower())
    named = [by_color[word] for word in words if word in by_color]
    if not named:
        raise SceneError(
            f"instruction '{instruction}' names no object: use one of {', '.join(by_color)}"
        )
    if {"push", "slide", "shove"} & set(words):
        return Request(PUSH, named[0])
    if len(set(named)) > 1:
        return Request(STACK, named[0], next(name for name in named if name != named[0]))
    return Request(PUT_IN if "tray" in words else PUT_ON, named[0])
