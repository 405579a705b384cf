# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from salus_sim.faults import OBJECT_SLIP, SENSOR_NOISE, FaultInjector


def test_mixed_injects_force_noise_and_slip_in_a_tenth_of_the_episodes_each(scene):
    counts = {}
    episodes = 3000
    for seed in range(episodes):
        injector = FaultInjector(scene, seed, "mixed")
        injector.note_lifted(50)
        kinds = {fault.kind.replace("arm_", "").replace("object_f", "f")
                 for fault in injector.begun(10**6)}  # fmt: skip
        for kind in kinds:
            counts[kind] = counts.get(kind, 0) + 1
    for kind in ("force", "sensor_noise", "object_slip"):
        assert counts[kind] / episodes == pytest.approx(0.10, abs=0.02), kind


def test_none_injects_nothing(scene):
    for seed in range(50):
        assert FaultInjector(scene, seed, "none").begun(10**6) == []


def test_a_slip_waits_for_the_lift(scene):
    injector = FaultInjector(scene, 4, OBJECT_SLIP)
    assert injector.begun(10**6) == []
    injector.note_lifted(40)
    (fault,) = injector.begun(10**6)
    low, high = scene.faults[OBJECT_SLIP]["onset"]
    assert 40 + low <= fault.onset_step <= 40 + high
    injector.note_lifted(90)
    assert injector.begun(10**6)[0].onset_step == fault.onset_step


def test_noise_spoils_images_only_while_it_lasts(scene):
    injector = FaultInjector(scene, 9, SENSOR_NOISE)
    (fault,) = injector.begun(10**6)
    image = np.full((8, 8, 3), 128, np.uint8)
    end = fault.onset_step + fault.duration_steps
    assert np.array_equal(injector.spoil(image, 0, fault.onset_step - 1), image)
    assert not np.array_equal(injector.spoil(image, 0, fault.onset_step), image)
    assert not np.array_equal(injector.spoil(image, 0, end - 1), image)
    assert np.array_equal(injector.spoil(image, 0, end), image)


def test_cameras_and_steps_get_noise_of_their_own(scene):
    injector = FaultInjector(scene, 9, SENSOR_NOISE)
    step = injector.begun(10**6)[0].onset_step
    image = np.full((8, 8, 3), 128, np.uint8)
    first = injector.spoil(image, 0, step)
    assert np.array_equal(injector.spoil(image, 0, step), first)
    assert not np.array_equal(injector.spoil(image, 1, step), first)
    assert not np.array_equal(injector.spoil(image, 0, step + 1), first)
