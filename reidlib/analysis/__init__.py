"""What a paper claims to learn, measured against the truth of drawn images."""
