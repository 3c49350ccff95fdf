-- Administrative acts and findings: bundles published or rejected, targets
-- changed, services started and with which configuration, audits looked at.
--
-- Parameters: since  DateTime
--
-- clickhouse client --param_since='2026-11-01 00:00:00' --queries-file admin.sql
SELECT time, kind, actor, action, target, rule, if(policy_version > 0, toString(policy_version), '') AS policy, message, details, producer
FROM gatestay.records
WHERE kind IN ('admin', 'finding') AND integrity = 'verified' AND time >= {since:DateTime}
ORDER BY time DESC
LIMIT 1000;
