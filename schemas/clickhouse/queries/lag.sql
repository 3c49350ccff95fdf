-- How far the store is behind: of each producer the latest batch, how long it
-- took from being sealed to being stored, and whether numbers are missing.
--
-- Parameters: none
--
-- clickhouse client --queries-file lag.sql
SELECT
    producer,
    argMax(incarnation, stored_at) AS incarnation,
    argMax(number, stored_at) AS latest_batch,
    max(stored_at) AS latest_stored,
    round(argMax(stored_at - sealed_at, stored_at) / 1, 3) AS latest_seconds,
    round(quantile(0.5)(dateDiff('millisecond', sealed_at, stored_at)) / 1000, 3) AS median_seconds,
    round(quantile(0.99)(dateDiff('millisecond', sealed_at, stored_at)) / 1000, 3) AS p99_seconds,
    sum(record_count) AS records,
    countIf(integrity NOT IN ('verified', 'placeholder')) AS unverified_batches,
    maxIf(number, digest = '') - uniqExactIf(number, digest = '') AS missing_batches
FROM gatestay.batches
WHERE stored_at >= now() - INTERVAL 1 DAY AND producer != 'approval/steps'
GROUP BY producer, incarnation
ORDER BY latest_stored DESC;
