"""`python -m emovoca_cli` and `accelerate launch -m emovoca_cli`."""

from emovoca_cli.cli.app import main

if __name__ == "__main__":
    main()
