# SPDX-License-Identifier: Apache-2.0
"""Parameters of the supervisor."""

from dataclasses import dataclass

from salus_core.supervision import Limits
from salus_ros import qos
from salus_ros.managed_node import ManagedParameters
from salus_ros.parameters import parameter


@dataclass
class SupervisorParameters(ManagedParameters):
    """Parameters of the supervisor; see docs/your_robot.md for what a robot needs."""

    mode: str = parameter(
        "observe",
        "What forecasts lead to; 'observe': nothing, every sane action is passed on; 'intervene': "
        "what the parameter interventions says; 'pass' is an old name of 'observe'.",
        choices=("observe", "intervene", "pass"),
        read_only=True,
    )
    interventions: str = parameter(
        "",
        "Table of interventions: a YAML file, or the name of one that ships ('tabletop'); see "
        "docs/prevention.md. Empty: with mode 'intervene' the robot is held while there is an "
        "alarm. With mode 'observe' the table is followed, told, and changes nothing.",
        read_only=True,
    )
    gripper_joints: list[str] = parameter(
        [""],
        "With interventions: joints whose positions add up to the distance of the finger pads.",
        read_only=True,
    )
    input_wait: float = parameter(
        0.02,
        "With interventions, out of lockstep: wait so long at most for the forecast, the scene "
        "estimate and the state of the body of a step [s].",
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    )
    stamp_tolerance: float = parameter(
        0.0,
        "With interventions: largest difference between the stamp of a step and those of "
        "tool_pose, joint_states and scene_estimate [s]; 0: equal.",
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    )
    body_reliability: str = parameter(
        "best_effort",
        "Of the subscriptions to joint_states and tool_pose.",
        choices=qos.RELIABILITIES,
        read_only=True,
    )
    without_forecast: str = parameter(
        "",
        "With mode 'intervene': what happens while no fresh forecast comes; 'hold' the robot, or "
        "'go_on' as the policy proposes. There is no default: choose one.",
        choices=("", "hold", "go_on"),
        read_only=True,
    )
    episode_source: str = parameter(
        "topic",
        "'topic': only steps of the running episode are answered, as the topic episode tells. "
        "'signals': for robots whose episodes nobody judges, every new step is answered.",
        choices=("topic", "signals"),
        read_only=True,
    )
    commands_expire: bool = parameter(
        False,
        "With episode_source 'topic': commands that get lost are not sent again once they are "
        "old; for a robot, which does not wait in lockstep. With 'signals' it is always so.",
        read_only=True,
    )
    control_period: float = parameter(
        0.0,
        "Time between two commands [s]; 0: as signal_info says.",
        minimum=0.0,
        maximum=10.0,
        read_only=True,
    )
    max_proposal_age: float = parameter(
        5.0,
        "Out of lockstep: do not execute proposals whose observation is older, in control periods.",
        minimum=0.5,
        maximum=1000.0,
        read_only=True,
    )
    proposal_slack: float = parameter(
        0.05,
        "Out of lockstep: hold the robot when no fresh proposal has come for one control period "
        "and this time [s].",
        minimum=0.005,
        maximum=60.0,
        read_only=True,
    )
    max_forecast_age: float = parameter(
        6.0,
        "Out of lockstep: forecasts whose observation is older are ignored, in control periods.",
        minimum=0.5,
        maximum=1000.0,
        read_only=True,
    )
    forecast_slack: float = parameter(
        0.05,
        "Out of lockstep: with mode 'intervene' a forecast is missing when no fresh one has come "
        "for one control period and this time [s]; with 'observe' that is told after 0.5 s.",
        minimum=0.005,
        maximum=60.0,
        read_only=True,
    )
    max_translation: float = parameter(
        0.05,
        "Hold instead of executing a translation larger than this within one control period [m].",
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    )
    max_rotation: float = parameter(
        0.3,
        "Hold instead of executing a rotation larger than this within one control period [rad].",
        minimum=0.0,
        maximum=3.2,
        read_only=True,
    )
    max_joint_step: float = parameter(
        0.2,
        "Hold instead of moving a joint's target further than this within one control period "
        "[rad, m].",
        minimum=0.0,
        maximum=3.2,
        read_only=True,
    )
    max_joint_velocity: float = parameter(
        2.0,
        "Hold instead of executing a joint velocity above this [rad/s, m/s].",
        minimum=0.0,
        maximum=50.0,
        read_only=True,
    )
    max_base_velocity: float = parameter(
        1.0,
        "Hold instead of executing a base velocity above this [m/s, rad/s].",
        minimum=0.0,
        maximum=10.0,
        read_only=True,
    )
    max_joint_age: float = parameter(
        0.5,
        "With joint positions as actions: age by the wall clock up to which measured positions are "
        "what is held before anything was commanded [s].",
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    )

    @property
    def intervenes(self) -> bool:
        """Forecasts change what is executed."""
        return self.mode == "intervene"

    @property
    def holds_without_forecast(self) -> bool:
        """The robot is held while no fresh forecast comes."""
        return self.intervenes and self.without_forecast == "hold"

    def limits(self) -> Limits:
        """Largest motions within one control period."""
        return Limits(
            translation=self.max_translation,
            rotation=self.max_rotation,
            joint_step=self.max_joint_step,
            joint_velocity=self.max_joint_velocity,
            base_velocity=self.max_base_velocity,
        )
