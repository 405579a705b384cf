# SPDX-License-Identifier: Apache-2.0
"""How a launch ends: by a required process, by Ctrl-C, by force."""

import os
import re
import signal
import time

import pytest

# Says which signal it gets, and ends (or does not).
LISTENER = (
    "LISTENER = '''import signal, sys, time\n"
    "def end(number, frame):\n"
    "    print('got', signal.Signals(number).name)\n"
    "    sys.exit(0)\n"
    "signal.signal(signal.SIGINT, end)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('listening')\n"
    "time.sleep(60)'''\n"
    "DEAF = LISTENER.replace('SIGINT, end', 'SIGINT, signal.SIG_IGN')\n"
    "STONE = DEAF.replace('SIGTERM, end', 'SIGTERM, signal.SIG_IGN')\n"
    "def demand(event, context):\n"
    "    if event.returncode and not context.is_shutdown:\n"
    "        raise RuntimeError(f'{event.process_name} died')\n"
)


def test_a_required_process_that_fails_ends_everything_with_1(ros2, launch_file):
    path = launch_file(
        "python(LISTENER, name='other'),"
        "python('import time; time.sleep(1); exit(3)', name='must'),"
        "RegisterEventHandler(OnProcessExit(on_exit=demand))",
        before=LISTENER,
    )
    code, output = ros2("launch", path)
    assert code == 1
    assert re.search(r"\[ERROR\] \[must-2\]: process has died \[pid \d+, exit code 3, cmd", output)
    assert (
        "[ERROR] [launch]: Caught exception in launch (see debug for traceback): must-2 died"
        in output
    )
    assert "[other-1] got SIGINT" in output


@pytest.mark.parametrize("way", ["Shutdown(reason='done')", "EmitEvent(event=events.Shutdown())"])
def test_a_required_process_that_ends_well_ends_everything_with_0(ros2, launch_file, way):
    path = launch_file(
        "python(LISTENER, name='other'), python('import time; time.sleep(1)', name='must', "
        f"on_exit={way})",
        before=f"from launch import events\n{LISTENER}",
    )
    code, output = ros2("launch", path)
    assert code == 0
    assert "[other-1] got SIGINT" in output
    assert ("process[must-2] was required" in output) == way.startswith("Shutdown")


def test_ctrl_c_ends_all_in_order_of_their_starts_reversed(start, launch_file):
    path = launch_file("python(LISTENER, name='a'), python(LISTENER, name='b')", before=LISTENER)
    launch = start("launch", path)
    launch.wait_for("[a-1] listening")
    launch.wait_for("[b-2] listening")
    assert launch.interrupt() == 0
    output = launch.output()
    assert "[WARNING] [launch]: user interrupted with ctrl-c (SIGINT)" in output
    assert output.index("sending signal 'SIGINT' to process[b-2]") < output.index(
        "sending signal 'SIGINT' to process[a-1]"
    )
    assert "[a-1] got SIGINT" in output
    assert "[b-2] got SIGINT" in output


def test_what_ignores_sigint_gets_sigterm_then_sigkill(start, launch_file):
    path = launch_file(
        "python(DEAF, name='deaf'), python(STONE, name='stone', sigkill_timeout='0.3')",
        before=LISTENER,
    )
    launch = start("launch", path, "sigterm_timeout:=0.3")
    launch.wait_for("[deaf-1] listening")
    launch.wait_for("[stone-2] listening")
    assert launch.interrupt() == 0
    output = launch.output()
    assert (
        "process[deaf-1] failed to terminate '0.3' seconds after receiving 'SIGINT', "
        "escalating to 'SIGTERM'" in output
    )
    assert "[deaf-1] got SIGTERM" in output
    assert "sending signal 'SIGKILL' to process[stone-2]" in output
    assert "exit code -9" in output


@pytest.mark.differs
def test_sigterm_ends_all_in_order_too(start, launch_file):
    launch = start("launch", launch_file("python(LISTENER, name='a')", before=LISTENER))
    launch.wait_for("[a-1] listening")
    assert launch.interrupt(signal.SIGTERM) == 1
    assert "[a-1] got SIGINT" in launch.output()


@pytest.mark.differs
def test_no_process_outlives_a_killed_launch(start, launch_file):
    launch = start("launch", launch_file("python(LISTENER, name='a')", before=LISTENER))
    launch.wait_for("[a-1] listening")
    pid = int(re.search(r"process started with pid \[(\d+)\]", launch.output()).group(1))
    os.kill(pid, 0)
    launch.interrupt(signal.SIGKILL)
    end = time.monotonic() + 10.0
    with pytest.raises(ProcessLookupError):  # noqa: PT012 - polls until it has gone
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.05)


def test_a_process_respawns_until_ctrl_c(start, launch_file):
    path = launch_file("python('print(\"again\")', name='b', respawn=True, respawn_delay=0.1)")
    launch = start("launch", path)
    launch.wait_for("[b-1] again\n")
    end = time.monotonic() + 30.0
    while launch.output().count("[b-1] again") < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert launch.interrupt() == 0
    assert launch.output().count("[b-1] again") >= 2
