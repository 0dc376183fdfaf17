"""The simulator: physics and camera engines, visitor, room and film. MuJoCo is imported inside functions only."""
