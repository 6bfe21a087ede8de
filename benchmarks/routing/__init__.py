"""How well the complexity score tells hard prompts from easy ones, and what routing by it saves."""
