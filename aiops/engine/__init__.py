"""Where asyncio, clocks and I/O live."""
