"""What a notifier raises."""


class NotSent(Exception):
    """The message did not go out; the text says why. `for_good` = another attempt would fail the same way."""

    def __init__(self, detail: str, *, for_good: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.for_good = for_good
