"""What perception's engines find in an image, as plain values that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detection:
    """One object found in one image.

    Attributes:
        label: class name as the model spells it.
        class_id: class index in the model.
        score: confidence in [0, 1].
        x: left edge of the box [pixel of the image that was given].
        y: top edge of the box [pixel].
        width: width of the box [pixel], inside the image.
        height: height of the box [pixel], inside the image.
    """

    label: str
    class_id: int
    score: float
    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box (u, v) [pixel]."""
        return self.x + 0.5 * self.width, self.y + 0.5 * self.height
