# SPDX-License-Identifier: Apache-2.0
"""What our launch files rely on, checked with small ones."""

import re

import pytest


def test_show_args_prints_description_default_and_choices(ros2, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('seed', default_value='0', description='first seed'),"
        "DeclareLaunchArgument('arm', description='which', choices=['left', 'right']),"
        "DeclareLaunchArgument('again', default_value=LaunchConfiguration('seed')),"
    )
    code, output = ros2("launch", path, "--show-args")
    assert code == 0
    assert "Arguments (pass arguments as '<name>:=<value>'):" in output
    assert "\n    'seed':\n        first seed\n        (default: '0')\n" in output
    assert "which. Valid choices are: ['left', 'right']\n\n" in output
    assert "no description given\n        (default: LaunchConfig('seed'))" in output


def test_the_value_of_an_argument_is_the_last_one_given_else_the_default(ros2, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('x', default_value='unset'), say('x is', LaunchConfiguration('x'))"
    )
    assert "[echo-1] x is unset\n" in ros2("launch", path)[1]
    code, output = ros2("launch", path, "x:=one", "x:=two")
    assert code == 0
    assert "[echo-1] x is two\n" in output
    assert re.search(r"\[INFO\] \[echo-1\]: process started with pid \[\d+\]", output)
    assert re.search(r"\[INFO\] \[echo-1\]: process has finished cleanly \[pid \d+\]", output)


@pytest.mark.differs
def test_an_argument_that_nothing_declares_is_named(ros2, launch_file):
    code, output = ros2("launch", launch_file("LogInfo(msg='here')"), "sede:=3")
    assert code == 0
    assert "[WARNING] [launch]: nothing declares the launch argument(s) sede" in output
    assert "[INFO] [launch.user]: here" in output


def test_a_value_that_is_no_choice_ends_the_launch_with_1(ros2, launch_file):
    path = launch_file("DeclareLaunchArgument('x', choices=['a', 'b']), say('ran')")
    code, output = ros2("launch", path, "x:=c")
    assert code == 1
    assert (
        "Argument \"x\" provided value \"c\" is not valid. Valid options are: ['a', 'b']" in output
    )
    assert "ran" not in output


def test_a_missing_argument_is_named(ros2, launch_file):
    code, output = ros2("launch", launch_file("DeclareLaunchArgument('robot')"))
    assert code == 1
    assert "missing required argument 'robot'" in output


def test_malformed_arguments_and_unknown_files_are_refused(ros2, launch_file):
    path = launch_file("LogInfo(msg='here')")
    code, output = ros2("launch", path, "x=1")
    assert code == 1
    assert "malformed launch argument 'x=1', expected format '<name>:=<value>'" in output
    code, output = ros2("launch", "no_such_package", "a.launch.py")
    assert code == 1
    assert "Package 'no_such_package' not found" in output
    code, output = ros2("launch", "std_msgs", "a.launch.py")
    assert code == 1
    assert "file 'a.launch.py' was not found in the share directory of package 'std_msgs'" in output


@pytest.mark.differs
def test_a_file_with_a_packages_name_does_not_hide_the_package(ros2, tmp_path):
    (tmp_path / "std_msgs").write_text("#!/bin/sh\n")
    code, output = ros2("launch", "std_msgs", "a.launch.py")
    assert code == 1
    assert "in the share directory of package 'std_msgs'" in output


def test_conditions_choose_what_runs(ros2, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('x'),"
        "say('if', condition=IfCondition(LaunchConfiguration('x'))),"
        "say('unless', condition=UnlessCondition(LaunchConfiguration('x'))),"
        "say('five', condition=IfCondition(PythonExpression(["
        "    \"'\", LaunchConfiguration('x'), \"' == 'True' and sqrt(25) == 5\"])))"
    )
    _, output = ros2("launch", path, "x:=True")
    assert "] if\n" in output
    assert "] five\n" in output
    assert "] unless\n" not in output
    _, output = ros2("launch", path, "x:=0")
    assert "] unless\n" in output
    assert "] if\n" not in output
    code, output = ros2("launch", path, "x:=perhaps")
    assert code == 1
    assert "perhaps" in output


def test_an_include_gets_its_arguments_and_its_own_folder(ros2, launch_file, tmp_path):
    launch_file(
        "DeclareLaunchArgument('who', description='whom to greet'),"
        "DeclareLaunchArgument('how', default_value='hello', description='greeting'),"
        "say(LaunchConfiguration('how'), LaunchConfiguration('who'), ThisLaunchFileDir())",
        name="sub folder/inner.launch.py",
    )
    path = launch_file(
        "IncludeLaunchDescription(PythonLaunchDescriptionSource(PathJoinSubstitution("
        "[ThisLaunchFileDir(), 'sub folder', 'inner.launch.py'])),"
        " launch_arguments={'who': 'robot'}.items())"
    )
    code, output = ros2("launch", path, "how:=hi")
    assert code == 0
    assert f"] hi robot {tmp_path}/sub folder\n" in output
    before = f"INNER = {str(tmp_path / 'sub folder' / 'inner.launch.py')!r}"
    path = launch_file("IncludeLaunchDescription(INNER)", before=before)
    code, output = ros2("launch", path)
    assert code == 1
    assert "missing required argument 'who' (description: 'whom to greet')" in output
    assert "'how'" in ros2("launch", path, "--show-args")[1]


def test_a_group_keeps_its_namespace_arguments_and_environment(ros2, launch_file):
    path = launch_file(
        "GroupAction([PushRosNamespace('a'), PushRosNamespace('b'),"
        "SetLaunchConfiguration('x', '1'),"
        "SetEnvironmentVariable('GREETING', 'hi'), SetParameter('use_sim_time', True),"
        "Node(executable='echo', name='inner', output='screen'),"
        "Node(executable='echo', name='deep', namespace='c', output='screen'),"
        "Node(executable='echo', name='root', namespace='/c', output='screen'),"
        "say('env', EnvironmentVariable('GREETING'))]),"
        "Node(executable='echo', name='outer', output='screen', remappings=[('from', 'to')]),"
        "say('now', LaunchConfiguration('x', default='none'),"
        "    EnvironmentVariable('GREETING', default_value='none'))"
    )
    code, output = ros2("launch", path)
    output = output.replace(":=True", ":=true")  # either is true for a node
    assert code == 0
    assert "] --ros-args -r __node:=inner -r __ns:=/a/b -p use_sim_time:=true\n" in output
    assert "] --ros-args -r __node:=deep -r __ns:=/a/b/c -p use_sim_time:=true\n" in output
    assert "] --ros-args -r __node:=root -r __ns:=/c -p use_sim_time:=true\n" in output
    assert "] --ros-args -r __node:=outer -r from:=to\n" in output
    assert "] env hi\n" in output
    assert "] now none none\n" in output


def test_parameters_reach_the_node_typed_and_in_order(ros2, launch_file, tmp_path):
    given = tmp_path / "given.yaml"
    given.write_text("/**:\n  ros__parameters: {rate: 5}\n")
    path = launch_file(
        "DeclareLaunchArgument('n', default_value='3'),"
        "Node(executable=sys.executable, name='n', namespace='/s', output='screen',"
        "     arguments=['-c', CODE], parameters=["
        f"    {str(given)!r}, {{'text': '12', 'number': LaunchConfiguration('n'),"
        "    'as_text': ParameterValue(LaunchConfiguration('n'), value_type=str),"
        "    'as_float': ParameterValue(LaunchConfiguration('n'), value_type=float),"
        "    'deep': {'list': [1, 2.5]}, 'words': ['a', '1'], 'on': True}])",
        before="CODE = 'import sys; [print(open(a).read()) for a in sys.argv if a[0] == \"/\"]'",
    )
    code, output = ros2("launch", path)
    assert code == 0
    # Upstream writes lists as tuples, which a node reads in the same way.
    text = re.sub(r"\[python[0-9.]*-1\] ", "", output).replace(" !!python/tuple", "")
    assert text.index("rate: 5") < text.index("/s/n:\n  ros__parameters:\n")
    for line in ("text: '12'", "number: 3", "as_text: '3'", "as_float: 3.0", "'on': true"):
        assert f"\n    {line}\n" in text
    assert "\n    deep.list:\n    - 1.0\n    - 2.5\n" in text
    assert "\n    words:\n    - a\n    - '1'\n" in text


def test_both_streams_are_prefixed_line_by_line(ros2, launch_file):
    code, output = ros2(
        "launch",
        launch_file("python('import sys; print(1); print(2, file=sys.stderr)', name='talker')"),
    )
    assert code == 0
    assert "[talker-1] 1\n" in output
    assert "[talker-1] 2\n" in output


@pytest.mark.differs
def test_after_an_include_the_folder_is_that_of_the_including_file(ros2, launch_file, tmp_path):
    inner = launch_file("LogInfo(msg='inner')", name="sub/inner.launch.py")
    path = launch_file(
        f"IncludeLaunchDescription({str(inner)!r}), say('outer', ThisLaunchFileDir())"
    )
    assert f"] outer {tmp_path}\n" in ros2("launch", path)[1]


def test_functions_and_timers_return_further_actions(ros2, launch_file):
    path = launch_file(
        "DeclareLaunchArgument('n', default_value='2'), OpaqueFunction(function=many),"
        "TimerAction(period=0.2, actions=[say('later')])",
        before="def many(context):\n"
        "    n = int(LaunchConfiguration('n').perform(context))\n"
        "    return [say('number', str(i)) for i in range(n)]",
    )
    code, output = ros2("launch", path)
    assert code == 0
    assert "] number 0\n" in output
    assert "] number 1\n" in output
    assert "] later\n" in output


def test_an_executable_that_does_not_exist_is_named(ros2, launch_file):
    code, output = ros2("launch", launch_file("Node(package='std_msgs', executable='nothing')"))
    assert code == 1
    assert "libexec" in output
    code, output = ros2("launch", launch_file("Node(package='no_such', executable='nothing')"))
    assert code == 1
    assert "package 'no_such' not found" in output


def test_a_broken_launch_file_ends_with_1_and_its_error(ros2, launch_file):
    code, output = ros2("launch", launch_file("say(undefined_name)"))
    assert code == 1
    assert "Caught exception in launch" in output
    assert "undefined_name" in output
