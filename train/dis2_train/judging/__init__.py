"""Judging: one model on anyone's labelled data, and several side by side with paired intervals."""
