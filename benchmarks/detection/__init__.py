"""How much of what is sensitive the detectors find, how much else they take for it, and what it costs."""
