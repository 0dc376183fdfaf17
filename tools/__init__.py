"""Programs for those who develop bbia_ros; nothing here is installed."""
