"""API and console: they read the store and tell the pipeline; they change no problem themselves."""
