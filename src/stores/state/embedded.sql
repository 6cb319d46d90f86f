-- Run at every start, also on a file that an older version made: only ever add to it, under new names. An older version
-- leaves alone what it doesn't know.
CREATE TABLE IF NOT EXISTS attempts (
    tag TEXT NOT NULL, proven INTEGER NOT NULL, count INTEGER NOT NULL, last INTEGER NOT NULL,
    forgotten INTEGER NOT NULL, PRIMARY KEY (tag, proven)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS throttles (
    key TEXT NOT NULL PRIMARY KEY, due INTEGER NOT NULL, forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- `over` is how it ended; `record` is gone then.
CREATE TABLE IF NOT EXISTS sessions (
    tag TEXT NOT NULL, hash TEXT NOT NULL, record TEXT, created INTEGER NOT NULL, used INTEGER NOT NULL, over TEXT,
    forgotten INTEGER NOT NULL, PRIMARY KEY (tag, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS codes (
    hash TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ticket_secrets (
    id TEXT NOT NULL PRIMARY KEY, sealed TEXT NOT NULL, forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_forgotten ON attempts (forgotten);
CREATE INDEX IF NOT EXISTS throttles_forgotten ON throttles (forgotten);
CREATE INDEX IF NOT EXISTS sessions_forgotten ON sessions (forgotten);
CREATE INDEX IF NOT EXISTS codes_forgotten ON codes (forgotten);
