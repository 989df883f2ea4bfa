"""`python -m restem`: the command line in, its exit code out."""

from restem.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
