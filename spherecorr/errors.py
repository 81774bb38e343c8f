"""The one base of every error that a user can cause."""


class SpherecorrError(ValueError):
    """Something a user can put right; the message is one sentence that says what is wrong and what to do.

    The command line and the app show the sentence alone. Any other exception is a fault of the program and keeps its
    traceback.
    """
