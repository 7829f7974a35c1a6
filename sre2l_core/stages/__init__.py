"""The four stages of the paper, in order: squeeze, recover, relabel, validate. None imports another."""
