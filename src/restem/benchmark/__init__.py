"""Models and songs come in; the tables that compare them with reference rows go out."""
