"""From a batch of curves to findings: the stages of single curves, of the family, and the finding in full."""
