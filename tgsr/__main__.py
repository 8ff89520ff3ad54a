"""``python -m tgsr``."""

from tgsr.cli import main

if __name__ == "__main__":
    main()
