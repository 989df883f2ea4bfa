"""The MIDI branch: songs as notes in, the same songs with a new drum, bass or guitar part out."""
