"""Before the money is spent: designs, onsets from few checkpoints, forecasts of scales not yet run."""
