"""Every figure in the README comes from here: ours and the peers, in turn, in the same run."""
