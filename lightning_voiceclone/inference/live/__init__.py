"""Live conversion: from a microphone, or a file in its place, to a loudspeaker or a file."""
