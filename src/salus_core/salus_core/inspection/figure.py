# SPDX-License-Identifier: Apache-2.0
"""Draws an episode: key frames, signals with their validity, forecast, contact, events."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec

from salus_core.episode_store import INTERVENTION_NAMES, NO_MESSAGE, Episode
from salus_core.inspection.colours import type_colours

FRAMES = 9
"""Key frames per camera."""
WIDTH = 15.0
DPI = 100
ONSET, FAULT, ALARM, INVALID, LINE = "#c1121f", "#e07a00", "#ffb3b3", "#e4e4e4", "#1d4e89"
ACTED = "#6a4c93"


@dataclass(frozen=True)
class Event:
    """Something that happened at a step."""

    step: int
    name: str
    colour: str


def events_of(episode: Episode) -> list[Event]:
    """The failure's onset, the faults' onsets, and where the supervisor began to act."""
    events = [Event(f.onset_step, f.kind.replace("_", " "), FAULT) for f in episode.faults]
    kinds = episode["intervention"]
    acted = (kinds != NO_MESSAGE) & (kinds > 0)
    for step in np.flatnonzero(acted & ~np.r_[False, acted[:-1]]):
        name = INTERVENTION_NAMES[kinds[step]].replace("_", " ")
        events.append(Event(int(step), name, ACTED))
    if episode.onset_step >= 0:
        events.append(Event(episode.onset_step, f"{episode.failure_name} onset", ONSET))
    return events


def key_steps(episode: Episode) -> np.ndarray:
    """Steps to show: spread evenly, with the onset moved to the nearest one."""
    last = episode.length - 1
    steps = np.unique(np.linspace(0, last, min(FRAMES, episode.length)).round().astype(int))
    if episode.onset_step >= 0:
        onset = min(episode.onset_step, last)
        steps[np.argmin(np.abs(steps - onset))] = onset
    return steps


def draw_episode(episode: Episode) -> Figure:
    """Draw one episode.

    Raises:
        ValueError: it has no steps.
    """
    if episode.length == 0:
        raise ValueError("the episode has no steps")
    names = episode.run.attributes["signal_names"]
    n_cameras, signal_rows = len(episode.run.cameras), -(-len(names) // 3)
    heights = [1.55 * n_cameras + 0.25] * bool(n_cameras) + [1.45 * signal_rows, 1.9]
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.3), dpi=DPI)
    FigureCanvasAgg(figure)
    height = figure.get_figheight()
    outer = figure.add_gridspec(
        len(heights),
        1,
        height_ratios=heights,
        left=0.05,
        right=0.985,
        top=1 - 0.75 / height,
        bottom=0.5 / height,
        hspace=0.32 / (sum(heights) / len(heights)) + 0.06,
    )
    events = events_of(episode)
    figure.text(0.05, 1 - 0.27 / height, _title(episode), fontsize=12, fontweight="bold")
    _draw_legend(figure, events, 1 - 0.53 / height)
    if n_cameras:
        _draw_frames(figure, outer[0], episode)
    time = np.arange(episode.length)
    grid = GridSpecFromSubplotSpec(signal_rows, 3, subplot_spec=outer[-2], hspace=0.55, wspace=0.14)
    signals, valid = episode["signals"], episode["signals_valid"]
    units = episode.run.attributes["signal_units"]
    for index, name in enumerate(names):
        axes = figure.add_subplot(grid[index // 3, index % 3])
        unit = "" if units[index] in ("", "1") else f" [{units[index]}]"
        axes.set_title(f"{name}{unit}", fontsize=8, loc="left", pad=2)
        _shade(axes, ~valid[:, index], INVALID)
        if valid[:, index].any():
            axes.plot(time, signals[:, index], color=LINE, linewidth=1.1)
        else:
            axes.text(0.5, 0.5, "not valid", transform=axes.transAxes, ha="center", fontsize=8)
            axes.set_yticks([])
        _finish_axes(axes, episode, events)
    grid = GridSpecFromSubplotSpec(1, 3, subplot_spec=outer[-1], wspace=0.14)
    _draw_forecast(figure.add_subplot(grid[0, 0]), episode, time)
    _draw_line(figure.add_subplot(grid[0, 1]), time, episode["contact_force"], "contact force [N]")
    gripper = figure.add_subplot(grid[0, 2])
    _shade(gripper, episode["grasped_object"] >= 0, "#d8f3dc")
    _draw_line(gripper, time, episode["gripper_width"], "gripper width [m], green: both pads touch")
    for axes in figure.axes[-3:]:
        _finish_axes(axes, episode, events)
        axes.set_xlabel("step", fontsize=8)
    return figure


def _title(episode: Episode) -> str:
    failed = episode.onset_step >= 0
    how = f"failed by {episode.failure_name}" if failed else episode.outcome.name.lower()
    seconds = episode.length * episode.run.control_period
    return (
        f"{episode.run.path.name}, episode {episode.index}: {how}, {episode.length} steps "
        f'({seconds:.1f} s), seed {episode.seed}: "{episode.instruction}"'
    )


def _draw_legend(figure: Figure, events: list[Event], y: float) -> None:
    entries = [(f"{event.name} at {event.step}", event.colour) for event in events]
    entries += [("grey: signal not valid", "#777777"), ("pink: alarm", "#d36b6b")]
    x = 0.05
    for text, colour in entries:
        label = figure.text(x, y, text, fontsize=9, color=colour)
        extent = label.get_window_extent(figure.canvas.get_renderer())
        x += extent.width / figure.bbox.width + 0.015


def _draw_frames(figure: Figure, place: object, episode: Episode) -> None:
    steps = key_steps(episode)
    cameras = episode.run.cameras
    grid = GridSpecFromSubplotSpec(
        len(cameras), FRAMES, subplot_spec=place, wspace=0.03, hspace=0.04
    )
    onset = min(episode.onset_step, episode.length - 1)
    for row, camera in enumerate(cameras):
        for column, step in enumerate(steps):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(episode.images(camera, int(step)), aspect="equal")
            axes.set_xticks([])
            axes.set_yticks([])
            if step == onset:
                for spine in axes.spines.values():
                    spine.set(color=ONSET, linewidth=3)
            if row == 0:
                axes.set_title(
                    f"step {step}", fontsize=8, pad=3, color=ONSET if step == onset else "black"
                )
            if column == 0:
                axes.set_ylabel(camera, fontsize=9)


def _draw_forecast(axes: Axes, episode: Episode, time: np.ndarray) -> None:
    horizons, names = episode.run.horizons, episode.run.taxonomy.names
    forecast = episode["forecast"].reshape(episode.length, len(horizons), len(names))
    axes.set_title(f"forecast within {horizons[-1]:g} s", fontsize=8, loc="left", pad=2)
    _shade(axes, episode["alarm"], ALARM)
    if np.isfinite(forecast).any():
        colours = type_colours(len(names))
        for index, name in enumerate(names):
            axes.plot(time, forecast[:, -1, index], color=colours[index], label=name, linewidth=1.1)
        axes.plot(time, episode["forecast_score"], "k:", label="alarm's score", linewidth=1.1)
        axes.plot(time, episode["forecast_band"], color="#777777", label="band", linewidth=0.8)
        axes.legend(fontsize=6.5, ncols=3, loc="upper left", frameon=False)
        axes.set_ylim(0, 1.4)  # the legend is above the curves
        axes.set_yticks([0.0, 0.5, 1.0])
    else:
        axes.text(0.5, 0.5, "no forecast", transform=axes.transAxes, ha="center", fontsize=8)
        axes.set_yticks([])


def _draw_line(axes: Axes, time: np.ndarray, values: np.ndarray, title: str) -> None:
    axes.set_title(title, fontsize=8, loc="left", pad=2)
    axes.plot(time, values, color=LINE, linewidth=1.1)
    axes.set_ylim(0, max(1.05 * np.nanmax(values, initial=0.0), 0.01))


def _shade(axes: Axes, where: np.ndarray, colour: str) -> None:
    edges = np.flatnonzero(np.diff(np.r_[0, where.astype(int), 0]))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        axes.axvspan(begin - 0.5, end - 0.5, color=colour, linewidth=0)


def _finish_axes(axes: Axes, episode: Episode, events: list[Event]) -> None:
    axes.set_xlim(-0.5, max(episode.length, 1) + 0.5)
    axes.tick_params(labelsize=7, length=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    for event in events:
        axes.axvline(event.step, color=event.colour, linewidth=1.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
