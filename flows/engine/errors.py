"""Why a flow stops by itself: one class per reason, so that the launcher can give each its code.

None of these is repaired in place. A flow that stops leaves its last snapshot; what stands on the
topics is the truth from which the next start goes on.
"""


class FlowStopped(Exception):
    """Base of all named reasons; the message names what was found and what to do."""


class StartRefused(FlowStopped):
    """The flow may not start from what it was given: a wrong, foreign or missing snapshot."""


class Superseded(FlowStopped):
    """A later generation, or newer rules, stand on the tape: do not start this process again."""


class TapeGap(FlowStopped):
    """An offset is missing between a step's state and the record it was given."""


class TapeRepeat(FlowStopped):
    """A step was given a record that its state already contains."""


class Diverged(FlowStopped):
    """What is to be written differs from what already stands there under the same number."""
