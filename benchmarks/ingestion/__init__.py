"""What the service does while documents come in."""
