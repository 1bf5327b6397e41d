"""Entry point of `python -m client`, which is the `quantd` command."""

from client.cli import main

if __name__ == "__main__":
    main()
