"""The embedded embedding engine: all-MiniLM-L6-v2 in this process, without a network and without torch."""
