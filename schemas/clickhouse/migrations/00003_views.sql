-- +goose Up

-- What people ask. Views read genuine records only; what does not verify is in
-- the view unverified. None needs FINAL: a record is stored once.

-- One row a session.
CREATE OR REPLACE VIEW sessions AS
SELECT
    session_id,
    min(r.time)                                          AS opened_at,
    maxIf(r.time, r.kind = 'session_closed')             AS closed_at,
    multiIf(
        countIf(r.kind = 'session_refused') > 0,         'refused',
        countIf(r.kind = 'session_closed') > 0,          'closed',
        'open')                                          AS state,
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
    max(r.reason)                                        AS reason,
    uniqExactIf(r.command_id, r.kind = 'intent')         AS commands,
    countIf(r.kind = 'intent' AND r.effect = 'hold')     AS held,
    countIf(r.kind = 'outcome' AND r.status = 'refused') AS refused,
    countIf(r.kind = 'outcome' AND r.status = 'error')   AS failed,
    sum(r.rows)                                          AS rows,
    sum(r.masked_cells)                                  AS masked_cells,
    anyIf(r.code, r.kind = 'session_refused')            AS code,
    anyIf(r.message, r.kind = 'session_refused')         AS message
FROM records AS r
WHERE r.session_id != '' AND r.integrity = 'verified' AND r.kind IN ('session_opened', 'session_closed', 'session_refused', 'intent', 'outcome')
GROUP BY r.session_id AS session_id;

-- One row an approval: what was asked, who voted, how it ended, how long it took.
CREATE OR REPLACE VIEW approvals AS
SELECT
    approval_id,
    minIf(r.time, r.action = 'requested')                AS requested_at,
    maxIf(r.time, r.outcome != '')                       AS ended_at,
    if(max(r.outcome) = '', 'open', max(r.outcome))      AS outcome,
    if(ended_at > requested_at, dateDiff('millisecond', requested_at, ended_at) / 1000, 0) AS wait_seconds,
    any(r.session_id)                                    AS session_id,
    any(r.command_id)                                    AS command_id,
    any(r.trace_id)                                      AS trace_id,
    any(r.repository)                                    AS repository,
    any(r.run_actor)                                     AS run_actor,
    any(r.run_url)                                       AS run_url,
    any(r.agent)                                         AS agent,
    any(r.target)                                        AS target,
    any(r.rule)                                          AS rule,
    anyIf(r.statement, r.action = 'requested')           AS statement,
    anyIf(r.reason, r.action = 'requested')              AS reason,
    groupArrayIf((r.actor, r.details['vote'], r.details['via'], r.reason, r.time), r.action = 'voted') AS votes
FROM records AS r
WHERE r.kind = 'approval' AND r.integrity = 'verified'
GROUP BY r.approval_id AS approval_id;

-- Administrative acts: bundles published, targets changed, services started,
-- audits looked at.
CREATE OR REPLACE VIEW admin AS
SELECT time, actor, action, target, rule, policy_version, masking_version, message, details, producer, id
FROM records
WHERE kind = 'admin' AND integrity = 'verified';

-- What the services noticed by themselves.
CREATE OR REPLACE VIEW findings AS
SELECT time, action, actor, target, rule, message, details, producer, id
FROM records
WHERE kind = 'finding' AND integrity = 'verified';

-- Records that are not what a trusted producer signed: kept, and kept apart.
CREATE OR REPLACE VIEW unverified AS
SELECT integrity, time, kind, producer, incarnation, batch_number, position, digest, session_id, command_id, target, statement, action, actor, message
FROM records
WHERE integrity != 'verified';

-- Records whose text is not what their producer committed to, though no
-- redaction of the masking service names the field. (It does not tell of what
-- it redacts in its own records.)
CREATE OR REPLACE VIEW manipulations AS
SELECT
    arrayFilter(f -> NOT has(told.fields, f), r.redacted) AS unexplained,
    r.id AS id, r.time AS time, r.stored_at AS stored_at, r.kind AS kind, r.producer AS producer, r.incarnation AS incarnation, r.batch_number AS batch_number,
    r.session_id AS session_id, r.command_id AS command_id
FROM records AS r
LEFT JOIN (
    SELECT details['record'] AS record, arrayFlatten(groupArray(splitByChar(',', details['fields']))) AS fields
    FROM records
    WHERE kind = 'redaction' AND producer LIKE 'masking/%' AND integrity = 'verified'
    GROUP BY record
) AS told ON told.record = r.id
WHERE notEmpty(r.redacted) AND r.integrity = 'verified' AND r.producer NOT LIKE 'masking/%' AND notEmpty(unexplained);
