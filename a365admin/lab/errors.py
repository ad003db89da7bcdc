"""The one error of the demo estate."""


class LabError(Exception):
    """The demo estate cannot do what was asked. The message is a sentence for the user, and says what to do."""
