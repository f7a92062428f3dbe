-- W3C's word on which trace the request for it was a part of, where traces are collected.
ALTER TABLE operations ADD COLUMN traceparent TEXT;
