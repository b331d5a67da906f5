"""The one way a world fails: an invariant by name, with the step at which it broke."""


class Broken(AssertionError):
    """step: how many tape records there were. at_ms: time since the trouble began."""

    def __init__(self, name: str, detail: str, *, step: int, at_ms: int) -> None:
        super().__init__(f"{name}: {detail} (step {step}, {at_ms / 1000:.2f} s)")
        self.name, self.detail, self.step, self.at_ms = name, detail, step, at_ms
