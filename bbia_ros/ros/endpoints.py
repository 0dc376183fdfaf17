"""Publishers that respect the lifecycle, and the bound on QoS overrides."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from bbia_ros.ros.qos import MAX_DEPTH


class NodePublisher:
    """A publisher that is silent while its node is not active.

    rclpy's LifecyclePublisher stays silent when it is made in an active node, and is deactivated apart from the node;
    this one asks the node.

    Attributes:
        always: publishes in every state of the node.
    """

    def __init__(self, publisher: Any, node: Any, always: bool) -> None:
        self._publisher, self._node, self.always = publisher, node, always
        self._closed = False

    def publish(self, message: Any) -> bool:
        """Sends the message. False: it was dropped because the node is not active."""
        if self._closed or not (self.always or self._node.active):
            return False
        self._publisher.publish(message)
        return True

    @property
    def subscribers(self) -> int:
        """How many subscriptions are matched at present."""
        return 0 if self._closed else int(self._publisher.get_subscription_count())

    def assert_liveliness(self) -> None:
        """For MANUAL_BY_TOPIC publishers: the node is alive."""
        if not self._closed:
            self._publisher.assert_liveliness()

    def close(self, node: Any) -> None:
        """Destroys the publisher; publishing on it is a no-op from now on."""
        self._closed = True
        node.destroy_publisher(self._publisher)


def _check(profile: QoSProfile) -> SetParametersResult:
    if profile.history != HistoryPolicy.KEEP_LAST:
        return SetParametersResult(successful=False, reason="history must be keep_last: every queue here is bounded")
    if not 1 <= profile.depth <= MAX_DEPTH:
        return SetParametersResult(successful=False, reason=f"depth must be 1 to {MAX_DEPTH}, got {profile.depth}")
    return SetParametersResult(successful=True)


def bounded_overrides() -> QoSOverridingOptions:
    """qos_overrides for history, depth and reliability, refused when keep-all or deeper than 100."""
    kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
    return QoSOverridingOptions(policy_kinds=kinds, callback=_check)
