"""How well the check of citations tells what a passage says from what it does not."""
