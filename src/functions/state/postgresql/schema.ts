/**
 * What the driver makes in its schema: a table, and functions that compare and set in one step. Writers of one space take turns, so that
 * conditions and the number of keys hold. Time comes from the platform, so that all keys of a space expire by one clock.
 */

const TABLE = `
CREATE SCHEMA IF NOT EXISTS petrel;
CREATE SEQUENCE IF NOT EXISTS petrel.state_version;
CREATE TABLE IF NOT EXISTS petrel.state (
  space text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  value bytea NOT NULL,
  type text NOT NULL,
  version bigint NOT NULL,
  expires bigint,
  PRIMARY KEY (space, key)
);
CREATE INDEX IF NOT EXISTS state_expires ON petrel.state (expires) WHERE expires IS NOT NULL;`;

/** Begins every write: turns, what has expired goes (some of the space with each write), and the condition. */
const BEGIN = `
  PERFORM pg_advisory_xact_lock(hashtextextended('petrel.state ' || a_space, 0));
  DELETE FROM petrel.state s WHERE s.space = a_space AND s.key IN
    (SELECT o.key FROM petrel.state o WHERE o.space = a_space AND o.expires <= a_now LIMIT 100);
  DELETE FROM petrel.state s WHERE s.space = a_space AND s.key = a_key AND s.expires <= a_now;
  SELECT * INTO was FROM petrel.state s WHERE s.space = a_space AND s.key = a_key;
  present := FOUND;`;
const CONDITION = `
  IF (a_match IS NOT NULL AND (NOT present OR (a_match <> '*' AND a_match <> was.version::text))) OR (a_absent AND present) THEN
    RETURN QUERY SELECT 'condition'::text, 0::bigint, false, NULL::bytea; RETURN;
  END IF;`;
const FULL = `
  IF NOT present AND (SELECT count(*) FROM petrel.state s WHERE s.space = a_space AND (s.expires IS NULL OR s.expires > a_now)) >= a_most THEN
    RETURN QUERY SELECT 'full'::text, 0::bigint, false, NULL::bytea; RETURN;
  END IF;`;
const RESULT = 'RETURNS TABLE (outcome text, version bigint, created boolean, value bytea) LANGUAGE plpgsql';
const DECLARE = 'AS $$ DECLARE was petrel.state%ROWTYPE; present boolean; made bigint;';

const PUT = `
CREATE OR REPLACE FUNCTION petrel.state_put(a_space text, a_key text, a_now bigint, a_match text, a_absent boolean, a_most bigint,
  a_value bytea, a_type text, a_expires bigint) ${RESULT} ${DECLARE}
BEGIN ${BEGIN} ${CONDITION} ${FULL}
  made := nextval('petrel.state_version');
  INSERT INTO petrel.state AS s (space, key, value, type, version, expires) VALUES (a_space, a_key, a_value, a_type, made, a_expires)
    ON CONFLICT ON CONSTRAINT state_pkey DO UPDATE SET value = excluded.value, type = excluded.type, version = excluded.version, expires = excluded.expires;
  RETURN QUERY SELECT 'done'::text, made, NOT present, NULL::bytea;
END $$;`;

const DELETE = `
CREATE OR REPLACE FUNCTION petrel.state_delete(a_space text, a_key text, a_now bigint, a_match text, a_absent boolean) ${RESULT} ${DECLARE}
BEGIN ${BEGIN} ${CONDITION}
  IF NOT present THEN RETURN QUERY SELECT 'nothing'::text, 0::bigint, false, NULL::bytea; RETURN; END IF;
  DELETE FROM petrel.state s WHERE s.space = a_space AND s.key = a_key;
  RETURN QUERY SELECT 'done'::text, 0::bigint, false, NULL::bytea;
END $$;`;

const INCREMENT = `
CREATE OR REPLACE FUNCTION petrel.state_increment(a_space text, a_key text, a_now bigint, a_by bigint, a_most bigint, a_expires bigint) ${RESULT}
${DECLARE} shown text; total numeric;
BEGIN ${BEGIN} ${FULL}
  total := a_by;
  IF present THEN
    BEGIN shown := convert_from(was.value, 'UTF8'); EXCEPTION WHEN OTHERS THEN shown := ''; END;
    IF shown !~ '^-?[0-9]{1,19}$' THEN
      RETURN QUERY SELECT 'not_a_number'::text, 0::bigint, false, NULL::bytea; RETURN;
    END IF;
    total := shown::numeric + a_by;
  END IF;
  IF total > 9223372036854775807 OR total < -9223372036854775808 THEN
    RETURN QUERY SELECT 'not_a_number'::text, 0::bigint, false, NULL::bytea; RETURN;
  END IF;
  made := nextval('petrel.state_version');
  INSERT INTO petrel.state AS s (space, key, value, type, version, expires)
    VALUES (a_space, a_key, convert_to(total::text, 'UTF8'), 'text/plain', made, a_expires)
    ON CONFLICT ON CONSTRAINT state_pkey DO UPDATE SET value = excluded.value, type = excluded.type, version = excluded.version;
  RETURN QUERY SELECT 'done'::text, made, NOT present, convert_to(total::text, 'UTF8');
END $$;`;

/** Several platforms may open the same database at once: they take turns here, too. */
export const SCHEMA = `BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('petrel.state schema', 0)); ${TABLE} ${PUT} ${DELETE} ${INCREMENT} COMMIT;`;
