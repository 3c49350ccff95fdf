-- What a principal did over time: commands by day, target and verdict.
--
-- Parameters: repository  String    owner/name, or the repository's id
--             since       DateTime
--
-- clickhouse client --param_repository=acme/shop --param_since='2026-11-01 00:00:00' --queries-file principal.sql
SELECT
    toDate(time) AS day,
    target,
    class,
    effect,
    status,
    count() AS commands,
    uniqExact(session_id) AS sessions,
    sum(rows) AS rows,
    sum(masked_cells) AS masked_cells,
    round(max(wait_seconds), 1) AS longest_wait_seconds,
    arraySlice(arraySort(groupUniqArray(arrayStringConcat(objects, ' '))), 1, 5) AS objects
FROM gatestay.commands
WHERE session_id IN (
    SELECT session_id FROM gatestay.records
    WHERE (repository = {repository:String} OR repository_id = {repository:String}) AND time >= {since:DateTime})
GROUP BY day, target, class, effect, status
ORDER BY day DESC, commands DESC;
