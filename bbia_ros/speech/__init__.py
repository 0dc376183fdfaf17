"""Microphone, voice activity, speech to text, text to speech, turn-taking."""
