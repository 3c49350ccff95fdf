-- Commands of which nobody knows how they ended: the gateway, or what it runs
-- on, was lost between forwarding the command and recording its outcome. The
-- target's own log knows.
--
-- Parameters: since  DateTime
--
-- clickhouse client --param_since='2026-11-01 00:00:00' --queries-file without_outcome.sql
SELECT time, status, if(agent != '', agent, repository) AS principal, target, class, statement, session_id, command_id
FROM gatestay.commands
WHERE status IN ('unknown', 'running') AND time >= {since:DateTime} AND session_id IN (
    SELECT session_id FROM gatestay.records
    WHERE kind = 'intent' AND time >= {since:DateTime}
        AND command_id NOT IN (SELECT command_id FROM gatestay.records WHERE kind = 'outcome' AND time >= {since:DateTime}))
ORDER BY time DESC
LIMIT 1000;
