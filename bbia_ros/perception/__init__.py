"""Objects and faces: engines and tracking."""
