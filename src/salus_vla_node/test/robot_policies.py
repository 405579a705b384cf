# SPDX-License-Identifier: Apache-2.0
"""Policies for tests of robots: their actions tell what they saw, or are wrong."""

from dataclasses import replace

import numpy as np
from tiny_backend import LATENT, SIZE, TinyBackend


class SeeingBackend(TinyBackend):
    """Looks through two cameras; acts with a pixel of each, joint 1, the gripper, velocities."""

    @classmethod
    def load(cls, checkpoint, options):
        backend = super().load(checkpoint, options)
        backend._info = replace(
            backend._info, cameras={"front": (SIZE, SIZE), "wrist": (SIZE, SIZE)}
        )
        return backend

    def act(self, observation):
        images = observation.images
        output = super().act(replace(observation, images={"front": images["front"]}))
        output.action[:5] = (
            images["front"][0, 0, 0],
            images["wrist"][0, 0, 0],
            observation.joint_positions[0],
            observation.gripper_width,
            observation.joint_velocities is not None,
        )
        return output


class SlowSeeingBackend(SeeingBackend):
    """Takes 400 ms."""

    def act(self, observation):
        import time

        time.sleep(0.4)
        return super().act(observation)


WRONG = {
    "nan action": lambda o: replace(o, action=o.action * np.nan),
    "long action": lambda o: replace(o, action=np.zeros(8)),
    "no latent": lambda o: replace(o, latent=None),
    "short latent": lambda o: replace(o, latent=np.zeros(LATENT - 1)),
    "infinite chunks": lambda o: replace(o, chunks=o.chunks + np.inf),
    "large latent": lambda o: replace(o, latent=np.full(LATENT, 1e300)),
    "large chunks": lambda o: replace(o, chunks=o.chunks + 1e39),
    "large members": lambda o: replace(o, member_means=1e200 * o.member_means),
}


class WrongBackend(TinyBackend):
    """One field of its output is wrong from step 1 on; the policy's config says how."""

    @classmethod
    def load(cls, checkpoint, options):
        backend = super().load(checkpoint, options)
        backend.wrong = WRONG[options.config]
        return backend

    def act(self, observation):
        output = super().act(observation)
        return self.wrong(output) if observation.step else output


class OversizedBackend(TinyBackend):
    """Its numbers do not fit into the messages; the policy's config says which."""

    @classmethod
    def load(cls, checkpoint, options):
        backend = super().load(checkpoint, options)
        name, _, value = options.config.partition("=")
        backend._info = replace(backend._info, **{name: int(value)})
        return backend
