-- What was held, who approved it, and how long it waited, newest first.
--
-- Parameters: since  DateTime
--
-- clickhouse client --param_since='2026-11-01 00:00:00' --queries-file held.sql
SELECT
    requested_at,
    outcome,
    round(wait_seconds, 1) AS waited_seconds,
    arrayStringConcat(arrayMap(v -> concat(v.1, ': ', v.2, ' via ', v.3), votes), ', ') AS votes,
    if(agent != '', agent, repository) AS principal,
    run_actor,
    target,
    rule,
    statement,
    reason,
    approval_id,
    session_id
FROM gatestay.approvals
WHERE requested_at >= {since:DateTime}
ORDER BY requested_at DESC
LIMIT 1000;
