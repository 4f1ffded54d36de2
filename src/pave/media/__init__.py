"""Media: frames at given seconds and sound from media files; only what is asked for is decoded."""
