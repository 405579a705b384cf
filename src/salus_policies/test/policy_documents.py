# SPDX-License-Identifier: Apache-2.0
"""Contents of salus_policy.yaml: of a policy in tool space, and of one that is native."""

TOOL = {
    "schema": 1,
    "control_period": 0.05,
    "cameras": {"image": {"camera": "front", "size": [64, 64]}},
    "action": {
        "space": "tool_delta",
        "frame": "base",
        "rotation": "rotation_vector",
        "padding": 1,
        "gripper": {"closed": 0, "open": 1, "threshold": 0.5},
        "scale": {"translation": 0.01, "rotation": 0.1},
    },
    "state": {"parts": ["joint_positions", "gripper_opening"], "joints": ["a", "b"]},
    "own": {"steps": 3},
}
TOOL["state"]["gripper_open_width"] = 0.08
NATIVE = {
    **TOOL,
    "action": {
        "space": "native",
        "names": ["a", "b"],
        "kinds": ["joint_position", "gripper"],
        "units": ["rad", "1"],
        "scale": [0.1, 1.0],
    },
}
