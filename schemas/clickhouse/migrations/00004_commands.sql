-- +goose Up

-- One row a command: intent, outcome and approval joined. A command whose
-- outcome never came is 'unknown' once its session has closed or a later life of
-- its gateway has begun, else 'running'. One that waits for its approval is
-- 'held': its approval says what it is, since an intent comes before a command
-- is forwarded. Filter by session_id or command_id where you can: both reach
-- into the table.
CREATE OR REPLACE VIEW commands AS
SELECT
    session_id,
    command_id,
    min(r.time)                                          AS time,
    any(r.trace_id)                                      AS trace_id,
    any(r.issuer)                                        AS issuer,
    any(r.subject)                                       AS subject,
    any(r.repository)                                    AS repository,
    any(r.repository_id)                                 AS repository_id,
    any(r.workflow)                                      AS workflow,
    any(r.run_id)                                        AS run_id,
    any(r.run_actor)                                     AS run_actor,
    any(r.run_url)                                       AS run_url,
    any(r.agent)                                         AS agent,
    any(r.on_behalf_of)                                  AS on_behalf_of,
    any(r.target)                                        AS target,
    any(r.database)                                      AS database,
    any(r.environment)                                   AS environment,
    anyIf(r.session_sequence, r.kind = 'intent')         AS session_sequence,
    anyIf(r.verb, r.kind = 'intent' OR r.action = 'requested') AS verb,
    anyIf(r.class, r.kind = 'intent' OR r.action = 'requested') AS class,
    anyIf(r.object_names, r.kind = 'intent' OR r.action = 'requested') AS objects,
    anyIf(r.statement, r.kind = 'intent' OR r.action = 'requested') AS statement,
    anyIf(r.parameters, r.kind = 'intent' OR r.action = 'requested') AS parameters,
    anyIf(r.reason, r.kind = 'intent' OR r.action = 'requested') AS reason,
    if(countIf(r.kind = 'intent') = 0, 'hold', anyIf(r.effect, r.kind = 'intent')) AS effect,
    anyIf(r.rule, r.kind = 'intent' OR r.action = 'requested') AS rule,
    anyIf(r.policy_version, r.kind = 'intent' OR r.action = 'requested') AS policy_version,
    max(r.approval_id)                                   AS approval_id,
    anyIf(r.approvers, r.kind = 'intent')                AS approvers,
    anyIf(r.wait_ns, r.kind = 'intent') / 1e9            AS wait_seconds,
    multiIf(
        countIf(r.kind = 'outcome') > 0,                 anyIf(r.status, r.kind = 'outcome'),
        countIf(r.kind = 'intent') = 0,                  'held',
        session_id IN (SELECT c.session_id FROM records AS c WHERE c.kind = 'session_closed'), 'unknown',
        anyIf(r.incarnation, r.kind = 'intent') < anyIf(life.latest, r.kind = 'intent'), 'unknown',
        'running')                                       AS status,
    anyIf(r.code, r.kind = 'outcome')                    AS code,
    anyIf(r.message, r.kind = 'outcome')                 AS message,
    anyIf(r.rows, r.kind = 'outcome')                    AS rows,
    anyIf(r.bytes, r.kind = 'outcome')                   AS bytes,
    anyIf(r.masked_cells, r.kind = 'outcome')            AS masked_cells,
    anyIf(r.duration_ns, r.kind = 'outcome') / 1e9       AS duration_seconds
FROM records AS r
LEFT JOIN (
    SELECT b.producer AS producer, max(b.incarnation) AS latest FROM batches AS b WHERE b.producer LIKE 'gateway/%' AND b.integrity = 'verified' GROUP BY b.producer
) AS life ON r.producer = life.producer
WHERE r.kind IN ('intent', 'outcome', 'approval') AND r.command_id != '' AND r.integrity = 'verified'
GROUP BY r.session_id AS session_id, r.command_id AS command_id
HAVING countIf(r.kind = 'intent') > 0 OR (countIf(r.action = 'requested') > 0 AND max(r.outcome) = '');
