"""Every cadence and deadline of the supervisor, in one table. Seconds, unless the name says otherwise.

Those that add up when the supervisor stops (worker, delivery, receipts, `stopped` notice, tasks) stay below the unit's
TimeoutStopSec: tests/unit/systemd/test_units.py adds them up. The shape of a sign's pulse is in sign/pulse.py.

How do I add one? A constant here with its reason; the module that waits imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# ── the loop (loop.py, lifecycle.py) ─────────────────────────────────────────────────────────────────────────────────
TICK_S = 0.1  # one round of the loop; an event starts one earlier
CLEAR_S = 1.0  # after a failure every condition must hold this long before recognition starts again
ORDER_RETRY_S = 2.0  # an erasure order that the disk refused
ALIVE_S = 0.35  # watchdog notification; the unit's WatchdogSec is four times this
ALERT_LAMP_S = 5.0  # the alert lamp after an alert was raised
BLINK_S = 0.3  # tower lamp: on, and off; three rounds of the loop, 1.7 blinks a second (IEC 60073: 1.4 to 2.8)
BLINK_PAUSE_S = 1.8  # behind the last blink of a count
BLINK_EVEN_S = 1.0  # on and off while the deployment is erased; whoever waits then looks every ALIVE_S
HUB_ABSENT_MOST_S = 5.0  # an alert that nobody can review is useless; a reconnection takes 1 to 3 s

# ── workers (workers/supervisor.py) ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Budget:
    """Deadlines and restarts of one camera's worker.

    grace_s, gone_s, a debounced reading of the sign and a tick together stay under one second.

    hello_s, watchlist_s, beat_s  the longest silence before each message
    recorded_start_s, recorded_beat_s  a recording has no people in front of it, and a busy desk must not end its run
    first_beat_s     a live camera is opened after the watchlist, and may take its own deadline of 5 s
    grace_s          after Stop, until Finished
    gone_s, exit_s   until the process has exited, after Stop and otherwise
    restarts, within_s, first_wait_s, cool_off_s  restarts in a period, the first pause, the pause of a disabled camera
    lost_most_s      the longest pause between two attempts to open a lost camera
    lease_s, recorded_lease_s  a worker wipes and ends after so long without a sign of life from the supervisor's loop
    """

    hello_s: float = 30.0
    watchlist_s: float = 60.0
    beat_s: float = 2.0
    recorded_start_s: float = 180.0
    recorded_beat_s: float = 10.0
    first_beat_s: float = 8.0
    grace_s: float = 0.5
    gone_s: float = 0.2
    exit_s: float = 2.0
    restarts: int = 5
    within_s: float = 60.0
    first_wait_s: float = 0.5
    cool_off_s: float = 300.0
    lost_most_s: float = 5.0
    lease_s: float = 1.0
    recorded_lease_s: float = 10.0


PREPARED_S = 30.0  # a worker that was started ahead and got no assignment ends: its engines take memory
LEASE_EVERY_S = 0.25  # the loop renews its workers' leases this often
WORKER_CLOSE_POLL_S = 0.02
WORKER_JOURNAL_QUIET_S = 10.0  # one line of a text and a camera in this time

# ── alerts and the outbox (alerts/, status/retained.py) ──────────────────────────────────────────────────────────────
OUTBOX_POLL_S = 0.5  # retry times are checked this often when nothing else wakes the publisher
OUTBOX_EXPIRY_S = 5.0  # expired alerts are erased this often
DRAIN_POLL_S = 0.05
NOTICE_POLL_S = 0.02
ALERT_STALE_S = 30.0  # an alert delivered later than this is shown as late and must not lead to a stop
ALERT_EXPIRES_S = 900.0  # an undelivered alert: after a quarter of an hour nobody can act on it

HOLD_MOST = timedelta(days=366)  # a hold is renewed, or ends: a review date beyond this is an error

# ── what the device publishes of itself (status/) ────────────────────────────────────────────────────────────────────
REPORT_S = 0.1
STATE_DETAILS_S = 0.5  # while the state's name stays: a changing reason, a changing lamp
HEALTH_S = 5.0  # liveness, sign and recognition: the hub shows what is older than 15 s as unknown
STATS_S = 60.0  # kept in the outbox until delivered
LIVE_STATS_S = 1.0  # for the hub's page: not kept, and only when a count has changed
STATS_KEPT = timedelta(days=1)
STATUS_S = 1.0  # the service manager's line and the status file, while the state's name stays
VERIFIED_TIME_S = 60.0  # how often the verified time is stored, to spare the flash

# ── live view (live_view.py) ──────────────────────────────────────────────────────────────────────────────────────────
VIEW_MOST_S = 330.0  # the hub's views last 5 min; its clock may be 30 s off
VIEW_RENEW_S = 1.0  # workers end it 3 s after the last renewal
VIEW_PICTURE_S = 0.5  # a worker sends one a second
VIEW_EXPIRES_S = 3  # a picture that the broker could not deliver by then is of no use

# ── deployment (deployment/) ─────────────────────────────────────────────────────────────────────────────────────────
SYNC_POLL_S = 2.0  # a withdrawn entry is gone within 5 s even when the hub's `sync` command is lost
CONSENT_CHECK_S = 1.0  # volunteers of the blue list whose consent has ended
RENEWAL_FIRST_S = 60.0  # the hub is asked for renewed certificates
RENEWAL_S = 3600.0  # and again; they are renewed 14 days before they end
RENEWAL_FAILS_FOR = timedelta(hours=24)  # a hub that was not reached for so long is a warning
CLOCK_STEP_ALLOWED = timedelta(seconds=60)  # a time service that steps the clock back corrects seconds
DELIVER_S = 10.0  # at the end: a broker that restarts is back within this
RECEIPTS_S = 5.0  # at the end: receipts and counts
HURRY_S = 0.5  # each of the two above after a second signal or the tamper line
STOPPED_S = 2.0  # for the notice `stopped` to reach the broker

# ── audit (audit/) ───────────────────────────────────────────────────────────────────────────────────────────────────
AUDIT_HEAD_S = 10.0  # a life that ends within this of its last head leaves that many seconds unsigned at most
AUDIT_RETRY_S = 1.0
AUDIT_CONDITION_QUIET_S = 10.0  # one row of a condition in this time, with the number of its failures
AUDIT_COUNTS_S = 10.0  # passage counts that have changed: a kill loses so many seconds, and the settling
AUDIT_COUNTS_SAME_S = 60.0  # those that have not
AUDIT_COUNTS_SETTLE_S = 2.0  # a worker beats four times a second
CONDITION_LOG_QUIET_S = 1.0

# ── releases of the software (deployment/release_watch.py) ───────────────────────────────────────────────────────────
RELEASE_FIRST_S = 30.0  # the deployment's own client goes first
RELEASE_POLL_S = 60.0  # an unchanged repository costs a few kilobytes
RELEASE_IDLE_POLL_S = 0.5  # a download ends when a deployment is offered

# ── host and threads (runtime/) ──────────────────────────────────────────────────────────────────────────────────────
HOST_MEASURE_S = 0.25
STATE_FOLDER_WRITE_S = 2.0  # a small unflushed file is tried this often; whether it is read-only, at every measurement
BOARD_MEASURE_S = 1.0  # GPU load, power mode, over-current, memory
OVER_CURRENT_RECENT_S = 30.0  # six reports of health: a limit that comes and goes is seen in one of them
DRIFT_WARM_UP_S = 10.0  # the first looks of a worker compile and allocate
DRIFT_START_S = 60.0  # the value at the start is the median over this
DRIFT_S = 30.0  # a stage is slower once it has been for this long; a crowd passes sooner
HOST_STALE_S = 10.0  # a worn card may keep a write for seconds
EXECUTOR_CLOSE_S = 2.0  # for the calls that a thread has accepted; a disk that hangs does not keep the process
TASKS_END_S = 2.0  # for background tasks to end after their cancellation
TASKS_CANCEL_AGAIN_S = 0.2

# ── sign (sign/monitor.py) ───────────────────────────────────────────────────────────────────────────────────────────
SIGN_READ_S = 0.05
SIGN_DARK_MOST_S = 1.0
SIGN_DARK_WINDOW_S = 10.0
PULSE_EVERY_S = 30.0
PULSE_SOONEST_S = 20.0  # the next pulse begins at a random moment between these two: its repeat, too, is over by 30 s
PULSE_LATEST_S = 28.0
PULSE_REPEAT_S = 1.0
REPROOF_S = 600.0  # a lamp that cannot pulse is switched off and on as a whole
HOLD_OFF_S = 3.0  # dark after a failed proof, doubled each time
HOLD_OFF_MOST_S = 60.0
