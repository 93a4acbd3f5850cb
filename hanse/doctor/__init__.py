"""`hanse doctor`: looks at every part of an installation, and says what is wrong and what to do about it.

A check is a function (Patient) -> Iterator[Advice]; the list of them stands in `hanse.doctor.rounds`. None changes
anything.
"""
