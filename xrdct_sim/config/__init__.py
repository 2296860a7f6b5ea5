"""What the user asks for: a run's settings and a phantom's parameters, checked once."""
