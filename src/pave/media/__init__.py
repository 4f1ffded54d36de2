"""Media: frames at given seconds and sound from any file that PyAV or soundfile opens; only what is asked for is decoded."""
