"""The errors that a user can meet; each names the file or value and the remedy."""

__all__ = ["DataError", "MissingDataError", "ParameterError", "ProtocolError", "TgsrError", "TrackingError", "one_line"]


class TgsrError(Exception):
    """Base of every error that tgsr raises on purpose; the command line prints its text and no traceback."""


class MissingDataError(TgsrError, FileNotFoundError):
    """A file, folder, database or variable that is needed is not there."""

    def __str__(self) -> str:  # FileNotFoundError would print a tuple-like text for several arguments
        return str(self.args[0]) if self.args else ""


class DataError(TgsrError, ValueError):
    """Data were found but cannot be used: wrong shape, NaN, unknown label, truncated file."""


class ProtocolError(TgsrError, ValueError):
    """An experiment, database, class or grid value that the protocol does not know."""


class ParameterError(TgsrError, ValueError):
    """A parameter is out of its range or of the wrong type."""


class TrackingError(TgsrError, RuntimeError):
    """A tracking server, study storage or model registry cannot be used as asked."""


def one_line(text: object) -> str:
    """A text, such as a library's message, as the part of a line: no breaks, and no novel."""
    return " ".join(str(text).split())[:300]
