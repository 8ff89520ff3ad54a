"""``python -m tgsr``: the command line, from the checkout when one is the current folder."""

from tgsr.cli import cli

if __name__ == "__main__":
    cli(prog_name="tgsr")
