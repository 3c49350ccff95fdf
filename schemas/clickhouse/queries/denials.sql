-- What was refused, by whom most often: denied commands and refused sign-ins.
-- A hold that its client withdrew (GS1303) is none.
--
-- Parameters: since  DateTime
--
-- clickhouse client --param_since='2026-11-01 00:00:00' --queries-file denials.sql
SELECT
    if(agent != '', agent, if(repository != '', repository, subject)) AS principal,
    run_actor,
    target,
    if(kind = 'session_refused', 'sign-in', 'command') AS what,
    code,
    any(message) AS example,
    count() AS times,
    max(time) AS latest,
    argMax(session_id, time) AS latest_session
FROM gatestay.records
WHERE kind IN ('outcome', 'session_refused') AND status = 'refused' AND code != 'GS1303' AND integrity = 'verified' AND time >= {since:DateTime}
GROUP BY principal, run_actor, target, what, code
ORDER BY times DESC
LIMIT 1000;
