-- Ids are compared byte by byte, whatever collation the database has.
CREATE TABLE ragops_records (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (kind, id)
);

-- The highest version that was removed of the ids of each slot; a record that is put begins above it.
CREATE TABLE ragops_slots (
    slot smallint PRIMARY KEY,
    removed bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO ragops_slots SELECT n, 0 FROM generate_series(0, 255) AS n;
