-- Free text in commands and their reasons by ClickHouse's text index: any part of a word, in any
-- case. A server that has no text index answers the same queries by reading.
ALTER TABLE records ADD INDEX IF NOT EXISTS by_text lower(concat(statement, '\n', reason)) TYPE text(tokenizer = ngrams(3));
