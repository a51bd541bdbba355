-- Of the request that made it happen, so that what follows from an event belongs to the same trace.
-- Most requests are not traced, and then there is none.
-- Every context that tells or hears of events has this same file; a test keeps the copies identical.
ALTER TABLE event ADD COLUMN traceparent text;
