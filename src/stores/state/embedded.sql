CREATE TABLE attempts (
    tag TEXT NOT NULL, proven INTEGER NOT NULL, count INTEGER NOT NULL, last INTEGER NOT NULL,
    forgotten INTEGER NOT NULL, PRIMARY KEY (tag, proven)
) STRICT, WITHOUT ROWID;
CREATE TABLE throttles (
    key TEXT NOT NULL PRIMARY KEY, due INTEGER NOT NULL, forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- `over` is how it ended; `record` is gone then.
CREATE TABLE sessions (
    tag TEXT NOT NULL, hash TEXT NOT NULL, record TEXT, created INTEGER NOT NULL, used INTEGER NOT NULL, over TEXT,
    forgotten INTEGER NOT NULL, PRIMARY KEY (tag, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE codes (
    hash TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_forgotten ON attempts (forgotten);
CREATE INDEX throttles_forgotten ON throttles (forgotten);
CREATE INDEX sessions_forgotten ON sessions (forgotten);
CREATE INDEX codes_forgotten ON codes (forgotten);
-- "Skst"
PRAGMA application_id = 1399550836;
