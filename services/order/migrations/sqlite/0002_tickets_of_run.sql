-- Finds the live tickets of a run that its operator cancels.
CREATE INDEX tickets_of_run ON tickets (train_code, service_day, ordinal, order_id) WHERE live >= 1;
