"""Reading feelings in faces and words; the robot's own mood."""
