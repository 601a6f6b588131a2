"""Every log event of the daemon: its name, level, meaning and fields. Nothing is logged that is not listed here.

To add one: a line below, in the shape ``NAME = "noun_verb_past", level, meaning, *fields``, and a row in
``docs/logs.md``, which also says what to do about it (a test keeps the two equal, and each call's level and fields too).
``delivery`` and ``file`` come from ``logs.bound`` and ``exception`` from ``exc_info``: they are not listed as fields.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

Level = Literal["debug", "info", "warning", "error"]


class Event(StrEnum):
    """A log event; as a string it is the static name that stands under ``event`` in the log.

    Attributes:
        level: how loud it is: ``error`` needs a person, ``warning`` needs one if it stays, ``info`` is the normal
            course of things, ``debug`` is for finding out why.
        meaning: one sentence for the operator.
        fields: names of the fields it may carry.
    """

    level: Level
    meaning: str
    fields: tuple[str, ...]

    def __new__(cls, name: str, level: Level, meaning: str, *fields: str) -> Self:
        """Make the member a string equal to its name, with what is known about it beside."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.level = level
        member.meaning = meaning
        member.fields = fields
        return member

    # fmt: off
    # The process
    DAEMON_STARTED = "daemon_started", "info", "The process has read its configuration and begins.", "version", "pid", "config", "data_dir", "database"
    DAEMON_READY = "daemon_ready", "info", "Recovery is finished and the inbox is being watched.", "startup_seconds", "waiting"
    DAEMON_STOPPED = "daemon_stopped", "info", "The process ends; the delivery in hand was finished.", "reason", "deliveries", "uptime_seconds"
    CONFIG_RELOADED = "config_reloaded", "info", "The configuration was read anew and is in force.", "changed"
    RELOAD_REFUSED = "reload_refused", "error", "The configuration was read anew and is wrong, or asks for what only a restart changes; the old one stays in force.", "error", "remedy"
    NOTIFY_UNAVAILABLE = "notify_unavailable", "warning", "The service manager (systemd) waits to be told of the start, and systemd-python is not installed.", "remedy"
    WORKFLOW_SKIPPED = "workflow_skipped", "info", "The daily workflow was due, and another run of it is under way.", "error"
    WORKFLOW_STARTED = "workflow_started", "info", "The daily workflow begins.", "run", "day", "steps"
    WORKFLOW_STEP_FAILED = "workflow_step_failed", "error", "A step of the daily workflow failed; the others are done all the same.", "step", "error", "seconds"
    WORKFLOW_DONE = "workflow_done", "info", "Every step of the daily workflow was done.", "run", "day", "seconds"
    WORKFLOW_FAILED = "workflow_failed", "error", "The daily workflow ended, and steps of it failed.", "run", "day", "seconds", "failed"
    BACKUP_MADE = "backup_made", "info", "The database was copied, and the copy was read back.", "path", "size_bytes", "rows", "seconds"
    OLD_REMOVED = "old_removed", "info", "Old files were compressed or removed, and old rows removed, as retention says.", "files_compressed", "files_removed", "files_later", "bytes_freed", "rows"
    BACKUP_REMOVED = "backup_removed", "info", "A copy of the database beyond `backup.keep` was removed.", "path", "taken_at"
    DATABASE_RESTORED = "database_restored", "warning", "The database was made what a backup holds.", "path", "taken_at", "unknown_files"
    DATABASE_MIGRATED = "database_migrated", "info", "The tables were brought to the version this program needs.", "from_revision", "to_revision", "seconds"

    # A delivery, in the order of its way
    DELIVERY_SEEN = "delivery_seen", "debug", "A candidate stands in the inbox.", "size_bytes", "how"
    DELIVERY_WAITING = "delivery_waiting", "info", "A file is not taken yet (reason: open_for_writing, no_final_newline, nul_tail, fewer_rows_than_usual, manifest_unfinished, no_marker, no_manifest, no_rename, broken_off, name_taken); said once for each file and reason.", "reason", "size_bytes"
    DELIVERY_UNREADABLE = "delivery_unreadable", "error", "The daemon may not read a file in the inbox, or its manifest: it stays there untouched, and is taken as soon as it can be read; said once.", "path", "mode", "uid", "gid", "remedy"
    ENTRY_IGNORED = "entry_ignored", "warning", "Something that is no regular file (symlink, fifo, folder, device) stands in the inbox and is left alone.", "kind"
    SFTP_LOG_FAILED = "sftp_log_failed", "warning", "What sshd says of uploads (settle.sftp_log) cannot be read; uploads are judged by the files alone meanwhile; said once.", "path", "error", "remedy"
    COMPANION_ALONE = "companion_alone", "warning", "A marker or manifest lies in the inbox without its file; said once.", "belongs_to", "waited_seconds", "remedy"
    DELIVERY_CLAIMED = "delivery_claimed", "debug", "The file was renamed into .work/ and is ours.", "size_bytes"
    DELIVERY_RELEASED = "delivery_released", "warning", "A claimed file was put back into the inbox, untouched.", "reason"
    DELIVERY_RECOVERED = "delivery_recovered", "warning", "A delivery that an earlier process left unfinished is taken up again.", "state"
    SCHEMA_DRIFTED = "schema_drifted", "warning", "The file has columns the feed does not know; they were not loaded.", "feed", "columns"
    DELIVERY_LOADED = "delivery_loaded", "info", "Every row was loaded and committed.", "feed", "slot", "rows_in", "rows_loaded", "rows_duplicate", "fixes", "extends", "seconds"
    DELIVERY_PARTIAL = "delivery_partial", "warning", "The good rows were loaded and committed, the others rejected.", "feed", "slot", "rows_in", "rows_loaded", "rows_rejected", "rows_duplicate", "fixes", "extends", "reasons", "seconds"
    DELIVERY_DUPLICATE = "delivery_duplicate", "info", "The same bytes were delivered before; nothing was loaded.", "feed", "first_delivery", "sha256"
    DELIVERY_REFUSED = "delivery_refused", "error", "The whole file was refused and goes to errors/.", "feed", "code", "reason", "remedy", "rows_in", "rows_rejected"
    DELIVERY_HELD = "delivery_held", "error", "A correction would shrink its slot by more than half and is held in errors/ for a person.", "feed", "slot", "rows_before", "rows_after", "remedy"
    DELIVERY_SUPERSEDED = "delivery_superseded", "info", "An older delivery of the same slot was retracted in favour of this one.", "slot", "older_delivery", "rows_retracted"
    DELIVERY_FAILED = "delivery_failed", "error", "An unexpected error inside the program stopped this delivery; the traceback is under exception.", "step", "error", "attempts"
    ACKNOWLEDGEMENT_WRITTEN = "acknowledgement_written", "debug", "The sender can read in outbox/ what became of the file.", "number", "path"
    ACKNOWLEDGEMENT_FAILED = "acknowledgement_failed", "warning", "What became of a file could not be written into outbox/; the delivery is not touched, and it is tried again each minute (said once until it works; kept is false if it could not even be noted).", "number", "error", "kept", "remedy"
    ACKNOWLEDGEMENTS_WRITTEN = "acknowledgements_written", "info", "Acknowledgements that could not be written before are in outbox/ now.", "written"
    REJECTS_WRITTEN = "rejects_written", "info", "The rejected rows were written beside the archive for correction.", "path", "rows"
    DELIVERY_FILED = "delivery_filed", "debug", "The file was moved to its archive place.", "path"

    STEP_TIMED = "step_timed", "debug", "A step is done (read, commit, file; features, quality, new day): how long it took.", "step", "seconds"

    # What follows a delivery
    AFTER_STEP_FAILED = "after_step_failed", "error", "Features, quality metrics or alerts could not be brought up to date; what was loaded is not touched, what is due stays due and is tried again.", "step", "error", "retry_seconds"
    QUALITY_CHECK_FAILED = "quality_check_failed", "error", "A quality check met a defect of its own; its metric has the status error, the other checks were made.", "feed", "metric", "day", "error"

    # Alerts, and the letters about them
    ALERT_FIRING = "alert_firing", "warning", "Something needs a person; with again it lasts and nobody has acknowledged it.", "alert", "rule", "severity", "feed", "scope", "day", "summary", "again"
    ALERT_RESOLVED = "alert_resolved", "info", "An alert that was told is over.", "alert", "rule", "severity", "feed", "scope", "day", "summary", "lasted_seconds"
    LETTER_SENT = "letter_sent", "info", "A letter about alerts is out by a channel (mail, webhook).", "letter", "channel", "kind", "severity", "alerts", "attempts"
    LETTER_FAILED = "letter_failed", "warning", "A letter could not be sent; it is kept and tried again (said once for each channel and cause).", "letter", "channel", "error", "attempts", "retry_seconds"
    LETTER_DELAYED = "letter_delayed", "error", "A letter has been waiting for more than seven days; it is still tried (said once a day).", "letter", "channel", "error", "attempts", "waited_days"
    LETTERS_FLOWING = "letters_flowing", "info", "A channel works again; the letters that wait for it go out now.", "channel", "letters"
    LETTERS_HELD = "letters_held", "warning", "There were as many letters in this hour as alerts.letters_an_hour allows: the rest waits, and then goes into one.", "letters", "most"
    LETTERS_WITHDRAWN = "letters_withdrawn", "info", "A channel is switched off: what it had not sent is taken back; what no other channel told is told by those that are left.", "channel", "letters"
    RECIPIENT_REFUSED = "recipient_refused", "warning", "The mail server does not take a recipient; the others get their letter.", "letter", "recipient", "error"
    COURIER_FAILED = "courier_failed", "error", "Letters could not be made or noted; nothing is lost, it is tried again (said once for each cause).", "error", "retry_seconds"

    # The world around it
    STEP_RETRIED = "step_retried", "warning", "A step failed for a passing reason and is tried again.", "step", "attempt", "wait_seconds", "error"
    INTAKE_PAUSED = "intake_paused", "error", "The world is at fault (database, disk, folder): files stay where they are until it is well again.", "reason", "error", "remedy"
    INTAKE_RESUMED = "intake_resumed", "info", "The cause of the pause is gone; work goes on.", "reason", "paused_seconds"
    WATCHER_STARTED = "watcher_started", "info", "The inbox is watched: by the kernel's events (kind inotify), or by a look every scan_seconds (kind polling; reason: configured, filesystem, unavailable).", "kind", "reason", "filesystem", "scan_seconds"
    WATCHER_FAILED = "watcher_failed", "warning", "The watcher does not work (reason: start, died, deaf); the inbox is scanned, so that no file is missed.", "reason", "error", "remedy", "failures"
    WATCHER_REBUILT = "watcher_rebuilt", "info", "A new watcher took over and the inbox was scanned (reason: died, deaf, folder_replaced).", "kind", "reason", "filesystem", "failures"
    WATCHER_OVERFLOWED = "watcher_overflowed", "warning", "More happened at once than the kernel keeps events for; the inbox was scanned, so that no file is missed.", "remedy"
    WATCHER_POLLING = "watcher_polling", "warning", "The inbox is not watched by events any more but looked through every scan_seconds (reason: filesystem, unavailable, strikes).", "reason", "filesystem", "scan_seconds", "retry_seconds"
    WATCHER_NATIVE = "watcher_native", "info", "The inbox is watched by the kernel's events again, and was scanned.", "filesystem", "scan_seconds"
    CANARY_SEEN = "canary_seen", "debug", "The watcher saw the canary file: events arrive.", "latency_ms"
    CANARY_FAILED = "canary_failed", "warning", "The canary file cannot be written in the inbox, so a deaf watcher would not be noticed; said once until it can.", "error", "remedy"
    INBOX_MISSING = "inbox_missing", "error", "The inbox folder is gone or was replaced.", "path", "error"
    INBOX_BACK = "inbox_back", "info", "The inbox folder is there again; made anew, it has the rights that it had, as far as the daemon may give them.", "path", "missing_seconds", "mode"
    CLOCK_JUMPED = "clock_jumped", "warning", "The system clock was set; settling uses a steady clock and is not touched.", "jump_seconds"

    # The health endpoint
    HEALTH_LISTENING = "health_listening", "info", "The health endpoint answers.", "listen"
    HEALTH_UNAVAILABLE = "health_unavailable", "warning", "The health endpoint cannot answer; the work is not touched, and it is tried again (said once for each cause).", "listen", "error", "remedy", "retry_seconds"

    # The log itself
    LIBRARY_WARNED = "library_warned", "warning", "A library, or Python itself, said something at warning level or above (the line has the level it was said at).", "logger", "message"
    LOG_LINES_DROPPED = "log_lines_dropped", "warning", "The log's reader was too slow or gone: this many lines were not written.", "lines"
    # fmt: on
