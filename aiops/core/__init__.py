"""Pure and synchronous: step(inputs, now) -> outputs. No clock, no I/O."""
