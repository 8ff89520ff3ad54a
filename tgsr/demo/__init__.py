"""Generated demo databases: clips of drawn faces in the folder layouts of SMIC and CASME II.

Nothing in them was recorded: no person, no camera. They let a newcomer go the whole way without a licensed database.
"""

from tgsr.demo._layout import DemoSettings, write_demo

__all__ = ["DemoSettings", "write_demo"]
