# SPDX-License-Identifier: Apache-2.0
"""A managed node for the tests of `run`: `mode` chooses how it ends."""

import sys
import threading
import time
from dataclasses import dataclass

from std_msgs.msg import String

from salus_ros.managed_node import ConfigureError, ManagedNode, ManagedParameters, run
from salus_ros.parameters import parameter


@dataclass
class ExampleParameters(ManagedParameters):
    mode: str = parameter(
        "wait",
        "How the node ends.",
        choices=(
            "wait",
            "refuse",
            "break",
            "fatal",
            "raise",
            "linger",
            "echo",
            "swallow",
            "convert",
        ),
        read_only=True,
    )


class Example(ManagedNode):
    parameters_type = ExampleParameters

    def __init__(self):
        super().__init__("example")

    def configure(self):
        if self.parameters.mode == "refuse":
            raise ConfigureError("no checkpoint 'x': give checkpoint:=default")
        if self.parameters.mode == "break":
            raise KeyError("a mistake of the author")
        if self.parameters.mode in ("swallow", "convert"):
            print("configuring", flush=True)
            try:
                time.sleep(30.0)
            except KeyboardInterrupt:
                if self.parameters.mode == "convert":
                    raise ImportError("initialization failed") from None

    def activate(self):
        print("active", flush=True)
        if self.parameters.mode == "fatal":
            threading.Timer(0.2, self.fatal, ["disk full"]).start()
        if self.parameters.mode == "raise":
            self.create_timer(0.1, lambda: 1 / 0)
        if self.parameters.mode == "echo":
            self._timer = self.create_timer(2.0, self._listen)

    def deactivate(self):
        print("deactivated", flush=True)
        if self.parameters.mode == "linger":
            time.sleep(0.5)

    def cleanup(self):
        print("cleaned up", flush=True)

    def _listen(self):
        self._timer.cancel()
        publisher = self.create_publisher(String, "answered", 10)

        def echo(message):
            seconds = self.get_clock().now().nanoseconds // 10**9
            publisher.publish(String(data=f"{message.data} at {seconds}"))

        self.create_subscription(String, "asked", echo, 10)


if __name__ == "__main__":
    sys.exit(run(Example))
