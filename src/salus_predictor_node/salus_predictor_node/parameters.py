# SPDX-License-Identifier: Apache-2.0
"""Parameters of the predictor."""

from dataclasses import dataclass

from salus_predictor_node.adaptation import MODES
from salus_ros.managed_node import ManagedParameters
from salus_ros.parameters import parameter
from salus_ros.qos import RELIABILITIES


@dataclass
class PredictorParameters(ManagedParameters):
    """Parameters of the predictor."""

    checkpoint: str = parameter(
        "",
        "Checkpoint: a folder, or the name of one that ships with the package; empty: forecasts "
        "carry the status 'no checkpoint' "
        "and no numbers. Another one can be loaded with the service ~/load_checkpoint.",
        read_only=True,
    )
    checkpoint_folders: list[str] = parameter(
        [""],
        "The service ~/load_checkpoint loads what lies beneath these folders, links followed, and "
        "what ships with the package; ['']: beneath the folder that holds the checkpoint of the "
        "parameter checkpoint.",
        read_only=True,
    )
    info_wait: float = parameter(
        1.0,
        "Wait so long for signal_info when configuring, to refuse a checkpoint that does not fit "
        "the policy [s]; a policy that appears later is checked then. Only with a checkpoint.",
        minimum=0.0,
        maximum=600.0,
        read_only=True,
    )
    stale_after: float = parameter(
        0.5,
        "An episode without signals for so long, by the node's clock, is reported once with the "
        "status 'stale input' [s]; 0: never.",
        minimum=0.0,
        maximum=600.0,
    )
    max_signal_age: float = parameter(
        10.0,
        "Out of lockstep: signals whose observation is older when they are answered, in control "
        "periods, get the status 'stale input' and no numbers.",
        minimum=0.5,
        maximum=1000.0,
    )
    stamp_tolerance: float = parameter(
        0.0,
        "Largest difference between the stamps of signals and of the body's state that belong to "
        "them [s]; 0: equal, as SALUS's worlds send them. Only for predictors that read the body.",
        minimum=0.0,
        maximum=1.0,
    )
    input_wait: float = parameter(
        1.0,
        "Signals wait so long for joint_states and tool_pose that come late [s]; then they are "
        "answered without a forecast. Only for predictors that read the body.",
        minimum=0.0,
        maximum=10.0,
    )
    body_reliability: str = parameter(
        "best_effort",
        "Reliability asked for by the subscriptions of joint_states and tool_pose: best_effort "
        "takes any publisher, reliable is for lockstep.",
        choices=RELIABILITIES,
        read_only=True,
    )
    adapt: str = parameter(
        "never",
        "What moves the alarm's threshold so that its false-alarm rate is kept when the "
        "environment changes: outcomes (labelled ones, on `episode`), never (it is the "
        "checkpoint's own), or frozen (it stays where outcomes have moved it).",
        choices=MODES,
    )
    adapt_folder: str = parameter(
        "",
        "Folder in which the adapted threshold is kept over restarts, a file for each checkpoint; "
        "empty: salus below ROS_HOME, else ~/.ros/salus.",
        read_only=True,
    )
    threads: int = parameter(
        1,
        "Threads of torch; the shipped predictor gains nothing by more.",
        minimum=1,
        maximum=64,
        read_only=True,
    )
