"""How well questions that lean on earlier ones find their passages."""
