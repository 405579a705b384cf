# SPDX-License-Identifier: Apache-2.0
import pytest

from salus_ros.network import reachable_by


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "system_default"}, "is SYSTEM_DEFAULT"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, ""),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF", "ROS_STATIC_PEERS": "10.0.0.2"}, ""),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.0.0.2;"},
            "ROS_STATIC_PEERS is '10.0.0.2'",
        ),
        ({"ROS_LOCALHOST_ONLY": "1"}, ""),
        ({"ROS_LOCALHOST_ONLY": "0"}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
        ({"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}, ""),
        ({"ROS_SECURITY_ENABLE": "true"}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
    ],
)
def test_whether_other_machines_can_take_part_is_read_from_the_environment(environment, why):
    found = reachable_by(environment)
    assert found.endswith(why)
    assert bool(found) == bool(why)
