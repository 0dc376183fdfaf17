"""Starts the stack: ros2 launch bbia_ros bringup.launch.py mode:=converse.

What runs in which process, with which arguments and files, is decided in bbia_ros/composition.py, as for `bbia up`.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

from bbia_ros.launching import ARGUMENTS, actions


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=actions)])
