"""What is made once, before training: towers, prompts, captions, part masks."""
