"""``python -m tgsr``: the command line, from the checkout when one is the current folder."""

from tgsr.cli import main

if __name__ == "__main__":
    main(prog_name="tgsr")
