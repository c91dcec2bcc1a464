"""What the emulator remembers: all of its SQL, on one SQLite file."""
