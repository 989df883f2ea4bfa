"""A full song and a sentence in; the same song with one stem taken out and a new one put in."""
