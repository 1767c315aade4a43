"""An end that a person can understand."""


class Failure(Exception):
    """A command can't do what was asked: a sentence that says what is wrong and where, and the remedy.

    ``code`` is the process's exit code: 1 by default, 2 when the command itself was wrong.
    """

    def __init__(self, sentence: str, remedy: str = "", *, code: int = 1) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.code = code
