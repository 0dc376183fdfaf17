"""The robot underneath: backend protocol, MuJoCo simulator, reachy-mini SDK."""
