-- Ids and tokens barely shrink: compressing a snapshot of many holds would only keep a backend busy for as long as
-- hundreds of appends take.
ALTER TABLE run_snapshot ALTER COLUMN payload SET STORAGE EXTERNAL;
