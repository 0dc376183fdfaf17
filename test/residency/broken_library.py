"""A library that is installed and broken, as a torch that does not fit its torchvision."""

from __future__ import annotations

raise RuntimeError("operator torchvision::nms does not exist")
