"""The vocabulary as types. Standard library and numpy only."""
