# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from salus_ros.parameters import ParameterError, declare, names, parameter, specs

pytestmark = pytest.mark.ros


@dataclass
class CameraParameters:
    width: int = parameter(256, "Width [px].", minimum=1, maximum=4096, read_only=True)
    gain: float = parameter(1.0, "Gain [1].", minimum=0.0)
    mode: str = parameter("fast", "How.", choices=("fast", "fine"))
    cameras: list[str] = parameter(["front"], "Names.", choices=("front", "side"))
    warn: float = parameter(0.0, "Threshold.", name="diagnostics.warn")


def camera_node(**overrides):
    given = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    return Node("camera", parameter_overrides=given)


def test_without_overrides_the_defaults_hold(ros):
    assert declare(camera_node(), CameraParameters) == CameraParameters()


def test_overrides_arrive_typed_also_under_a_dotted_name(ros):
    node = camera_node(width=64, cameras=["side", "front"], diagnostics__warn=2.5)
    parameters = declare(node, CameraParameters)
    assert (parameters.width, parameters.cameras, parameters.warn) == (64, ["side", "front"], 2.5)
    assert node.get_parameter("diagnostics.warn").value == 2.5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"widht": 64}, "unknown parameter 'widht' for node 'camera': did you mean 'width'?"),
        ({"xyz": 64}, "unknown parameter 'xyz'"),
        ({"width": 0}, "parameter 'width' must be from 1 to 4096, got 0"),
        ({"gain": -0.5}, "parameter 'gain' must be at least 0.0, got -0.5"),
        ({"gain": float("nan")}, "parameter 'gain' must be at least 0.0, got nan"),
        ({"gain": 2}, "parameter 'gain' must be of type double, got 2 (integer); write 2.0"),
        ({"mode": "slow"}, "parameter 'mode' must be one of 'fast', 'fine', got 'slow'"),
        ({"cameras": ["up"]}, "parameter 'cameras' must be one of 'front', 'side', got 'up'"),
    ],
)
def test_an_unusable_override_is_named_with_what_would_be_right(ros, overrides, message):
    with pytest.raises(ParameterError) as caught:
        declare(camera_node(**overrides), CameraParameters)
    assert message in str(caught.value)


def test_all_problems_are_named_at_once(ros):
    with pytest.raises(ParameterError, match=r"width.*; .*'mod'.*'mode'"):
        declare(camera_node(width=0, mod="fine"), CameraParameters)


def test_use_sim_time_and_qos_overrides_are_not_unknown(ros):
    node = camera_node(use_sim_time=True, qos_overrides____image__publisher__depth=3)
    assert declare(node, CameraParameters) == CameraParameters()


def test_later_changes_are_followed_and_bad_ones_refused(ros):
    node = camera_node()
    parameters = declare(node, CameraParameters)
    assert node.set_parameters([Parameter("gain", value=3.0)])[0].successful
    assert parameters.gain == 3.0
    refused = node.set_parameters([Parameter("mode", value="slow")])[0]
    assert not refused.successful
    assert "must be one of 'fast', 'fine'" in refused.reason
    assert parameters.mode == "fast"
    assert not node.set_parameters([Parameter("width", value=5)])[0].successful


def test_the_description_and_range_are_visible_to_ros2_param_describe(ros):
    node = camera_node()
    declare(node, CameraParameters)
    descriptor = node.describe_parameter("width")
    assert descriptor.description == "Width [px]."
    assert descriptor.read_only
    assert descriptor.integer_range[0].to_value == 4096


def test_names_are_those_of_ros():
    assert names(CameraParameters) == {"width", "gain", "mode", "cameras", "diagnostics.warn"}


def test_a_field_that_is_no_parameter_is_a_mistake_of_the_author():
    @dataclass
    class Wrong:
        width: int = 3

    with pytest.raises(TypeError, match=r"Wrong\.width"):
        specs(Wrong)
