"""Words that visitors are likely to say to this robot."""

from __future__ import annotations

PROMPT = "Hello robot, look at the duck. Go to sleep, good night. Wake up. What do you see on the table? Thank you."
"""Given to Whisper as preceding text: it makes "Hello robot" likelier than "the low robot" (docs/speech.md)."""

DEMO_LINES = (
    "Hello robot, what do you see on the table?",
    "Tell me something about the moon.",
    "Please look at the apple.",
    "I am so sad, my old dog died.",
    "You are wonderful, thank you!",
    "Good night, go to sleep.",
)
"""What the visitor of the demo says."""


def plain_words(text: str) -> list[str]:
    """Words of a text in lower case without punctuation: how texts are compared."""
    return ["".join(c for c in word if c.isalnum()) for word in text.lower().split() if any(c.isalnum() for c in word)]
