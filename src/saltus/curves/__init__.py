"""From the results table to a batch of curves: series, points, axes, twins, and the guards that look at them."""
