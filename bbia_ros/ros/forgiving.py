"""A lifecycle node that answers everyday mistakes with a sentence where rclpy ends the process or names nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from bbia_ros.ros.parameters import undeclared


class ForgivingLifecycleNode(LifecycleNode):
    """Refuses impossible transitions and unknown parameters.

    Attributes:
        parameters_type: frozen dataclass of the node's parameters, see ros/parameters.py.
    """

    parameters_type: ClassVar[type[Any]]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any:
        """As rclpy's, but refuses an undeclared parameter by its name; rclpy's message names none."""
        from rcl_interfaces.msg import SetParametersResult

        reason = undeclared(self, self.parameters_type, parameter_list)
        if reason is not None:
            return SetParametersResult(successful=False, reason=reason)
        return super().set_parameters_atomically(parameter_list)

    def _LifecycleNodeMixin__on_change_state(self, request: Any, response: Any) -> Any:  # noqa: N802
        """Answers the service ~/change_state. rclpy raises for a transition that the present state does not have.

        That exception would leave the executor and end the process with all its nodes; asking for the impossible is
        an everyday mistake (`ros2 lifecycle set`, two managers) and is refused instead.
        """
        try:
            return super()._LifecycleNodeMixin__on_change_state(request, response)
        except RuntimeError as error:  # RCLError
            reason = str(error).partition(", at ")[0]
            self.get_logger().warning(
                f"transition {request.transition.id} {request.transition.label} refused: {reason}"
            )
            response.success = False
            return response
