"""``python -m tgsr``."""

from tgsr.cli import run

if __name__ == "__main__":
    run()
