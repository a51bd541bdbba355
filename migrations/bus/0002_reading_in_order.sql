-- PGMQ's own ordered reads look at the whole queue each time, so that a long queue is read ever more slowly; one event
-- of each key at a time, they are slow for a busy key, too. This one lends several events of a key together, but
-- nothing of a key of which something earlier is out or waits to be tried again.
CREATE FUNCTION read_in_order(queue text, seats integer, hold double precision)
RETURNS TABLE (receipt bigint, key text, attempts integer, message jsonb) LANGUAGE plpgsql AS $$
BEGIN
    -- One reader at a time. The statement below starts after the lock is had, so it sees what the last reader took.
    PERFORM pg_advisory_xact_lock(hashtextextended('read ' || queue, 0));
    RETURN QUERY EXECUTE format($query$
        WITH taken AS MATERIALIZED (
            SELECT headers->>'x-pgmq-group' AS key, min(msg_id) AS first
            FROM pgmq.%1$I WHERE vt > $1 GROUP BY headers->>'x-pgmq-group'
        ), free AS MATERIALIZED (
            SELECT msg_id FROM pgmq.%1$I AS queued
            WHERE vt <= $1 AND NOT EXISTS (
                SELECT FROM taken WHERE taken.key = queued.headers->>'x-pgmq-group' AND taken.first < queued.msg_id
            )
            ORDER BY msg_id LIMIT $2
        ), lent AS (
            UPDATE pgmq.%1$I AS queued
            SET vt = $1 + make_interval(secs => $3), read_ct = read_ct + 1, last_read_at = $1
            FROM free WHERE queued.msg_id = free.msg_id AND queued.vt <= $1
            RETURNING queued.msg_id, queued.headers->>'x-pgmq-group', queued.read_ct, queued.message
        )
        SELECT * FROM lent ORDER BY msg_id
    $query$, pgmq.format_table_name(queue, 'q'))
    USING clock_timestamp(), seats, hold;
END
$$;
