"""Renders, trains, exports and evaluates the tabletop detector that ships with bbia_ros.

The pictures come from MuJoCo: the three objects of the reachy-mini wheel's `minimal` scene, scattered on a table under
changing light, seen by the robot's eye camera. `python -m tools.train_detector --help` lists the steps.
"""

CLASS_NAMES = ("apple", "croissant", "duck")
"""Class names in the order of their ids."""
