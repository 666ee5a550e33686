"""What is refused: a parameter that cannot be, a run folder that cannot be used."""


class ParameterError(ValueError):
    """A parameter that is unknown, missing or of another type."""

    def _render_traceback_(self) -> list[str]:  # IPython then shows this line only
        return [f"{type(self).__name__}: {self}"]


class RunError(RuntimeError):
    """A run folder that cannot be used as it is."""
