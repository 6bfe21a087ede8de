"""The no-leak suite: cells of a matrix, the mutants that it must kill, and the command that runs it on a deployment."""
