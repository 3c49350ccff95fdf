-- A session's story: everything recorded of it, in order, with its approvals.
--
-- Parameters: session  String
--
-- clickhouse client --param_session=ses_01K… --queries-file session.sql
SELECT
    time,
    session_sequence AS n,
    kind,
    multiIf(kind = 'intent', concat(effect, ' by ', rule), kind = 'approval', concat(action, ' ', outcome, ' ', details['vote']), kind = 'outcome', status, action) AS what,
    if(kind IN ('approval'), actor, '') AS person,
    statement,
    parameters,
    approvers,
    round(wait_ns / 1e9, 3) AS waited_seconds,
    rows,
    masked_cells,
    round(duration_ns / 1e9, 3) AS seconds,
    code,
    message,
    integrity
FROM gatestay.records
WHERE session_id = {session:String}
ORDER BY time, session_sequence, batch_number, position;
