"""Entry point of `python -m quantd`, which is the `quantd` command."""

from quantd.cli import main

if __name__ == "__main__":
    main()
