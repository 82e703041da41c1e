"""How often the verdict is wrong: simulated truth in, our own false-alarm rate and power out.

`simulate` makes curves whose word is known because the definitions of design.md section 6 hold for their noise-free
points and an oracle could tell; `calibrate` (measure.py) judges them and counts; `power` (power.py) walks
through the middle, where no word is certain; `lookup` writes what ships with the release.
Known limits: judged truths are of our making; noise is exchangeable between items; the middle is not in the
confusion, only in the power tables.
"""

from saltus.calibrate.measure import calibrate
from saltus.calibrate.result import Calibration
from saltus.calibrate.settings import Fixed
from saltus.calibrate.simulate import NULLS, Truth, simulate
from saltus.judging.error_rates import false_alarm_rate

__all__ = ["NULLS", "Calibration", "Fixed", "Truth", "calibrate", "false_alarm_rate", "simulate"]
