-- Who did what on an object: every command that touched a table, newest first.
--
-- Parameters: object  String    schema.name, or the name alone
--             since   DateTime
--
-- clickhouse client --param_object=public.customers --param_since='2026-11-01 00:00:00' --queries-file who_did_what.sql
SELECT
    r.time,
    if(r.agent != '', r.agent, if(r.repository != '', r.repository, r.subject)) AS principal,
    r.run_actor,
    r.on_behalf_of,
    r.target,
    r.verb,
    arrayStringConcat(arrayMap((n, a) -> concat(n, ' (', a, ')'), r.object_names, r.`objects.access`), ', ') AS objects,
    r.effect,
    r.approvers,
    c.status,
    c.rows,
    c.masked_cells,
    r.statement,
    r.reason,
    r.session_id
FROM gatestay.records AS r
LEFT JOIN (
    SELECT command_id, status, rows, masked_cells FROM gatestay.commands
    WHERE session_id IN (
        SELECT session_id FROM gatestay.records
        WHERE kind = 'intent' AND (has(object_names, {object:String}) OR has(`objects.name`, {object:String})) AND time >= {since:DateTime})
) AS c ON r.command_id = c.command_id
WHERE r.kind = 'intent' AND r.integrity = 'verified'
    AND (has(r.object_names, {object:String}) OR has(r.`objects.name`, {object:String}))
    AND r.time >= {since:DateTime}
ORDER BY r.time DESC
LIMIT 1000;
