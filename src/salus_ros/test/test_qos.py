# SPDX-License-Identifier: Apache-2.0
import pytest
from rclpy.qos import DurabilityPolicy, QoSCompatibility, ReliabilityPolicy, qos_check_compatible

from salus_ros import qos


def test_latched_keeps_the_last_message_for_late_subscribers():
    assert qos.LATCHED.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert qos.LATCHED.reliability == ReliabilityPolicy.RELIABLE
    assert qos.LATCHED.depth == 1


@pytest.mark.parametrize("reliability", qos.RELIABILITIES)
def test_a_reliable_camera_serves_both_kinds_of_subscription(reliability):
    compatible, _ = qos_check_compatible(qos.image("reliable"), qos.image(reliability))
    assert compatible != QoSCompatibility.ERROR


def test_only_reliable_images_are_kept_for_a_second():
    assert qos.image("reliable").depth == 30
    assert qos.image("best_effort").depth == 10


def test_a_wrong_reliability_is_named():
    with pytest.raises(ValueError, match="'fast'"):
        qos.image("fast")
