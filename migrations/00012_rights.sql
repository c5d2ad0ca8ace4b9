-- +goose Up
-- What a person asks of the controller (GDPR 15-18, 21; T8, T9), as one case with a clock. It lies under the client and
-- goes with it (ADR 2): what somebody asked for is as much theirs as the record.
CREATE TABLE rights_request (
  municipality_id    int NOT NULL,
  client_id          uuid NOT NULL,
  id                 uuid NOT NULL DEFAULT gen_random_uuid(),
  kind               text NOT NULL CHECK (kind IN ('access', 'rectification', 'erasure', 'objection', 'restriction')),
  state              text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'prepared', 'released', 'refused', 'withdrawn')),
  received_on        date NOT NULL,
  due_on             date NOT NULL,
  channel            text NOT NULL CHECK (channel IN ('letter', 'portal', 'phone', 'visit', 'email')),
  reference          text NOT NULL, -- the municipality's case number
  wish               text NOT NULL DEFAULT '',
  received_by        bigint NOT NULL,
  received_at        timestamptz NOT NULL,
  extension_reason   text CHECK (extension_reason IN ('complex', 'many')),
  extension_told_on  date,
  prepared_by        bigint,
  prepared_at        timestamptz,
  answer             text NOT NULL DEFAULT '',
  recipients         text NOT NULL DEFAULT '', -- who was told of what was corrected, erased or restricted (GDPR 19)
  corrected          text[] NOT NULL DEFAULT '{}', -- the names of the fields that were corrected since it came
  statement          text NOT NULL DEFAULT '', -- the person's own words, kept beside what was not corrected
  remark             text NOT NULL DEFAULT '', -- why it went back to the caseworker
  restriction_ground text CHECK (restriction_ground IN ('contested', 'unlawful', 'legal_claim', 'objection_pending')), -- GDPR 18(1) a-d
  refusal_ground     text CHECK (refusal_ground IN ('retention', 'legal_claim', 'others_rights', 'unfounded', 'not_identified', 'correct_as_is', 'compelling_grounds', 'condition_missing')),
  decision           text NOT NULL DEFAULT '', -- what the refusal says
  outcome            jsonb NOT NULL DEFAULT '[]', -- of an erasure: what goes when, by class, or why not
  decided_by         bigint,
  decided_at         timestamptz,
  told_on            date, -- a person is told before a restriction ends (GDPR 18(3))
  lift_reason        text NOT NULL DEFAULT '',
  lifted_by          bigint,
  lifted_at          timestamptz,
  PRIMARY KEY (municipality_id, client_id, id),
  UNIQUE (municipality_id, id),
  CHECK (due_on = add_months(received_on, CASE WHEN extension_reason IS NULL THEN 1 ELSE 3 END)), -- GDPR 12(3), D1
  CHECK ((extension_reason IS NULL) = (extension_told_on IS NULL)),
  CHECK (extension_told_on BETWEEN received_on AND add_months(received_on, 1)),
  CHECK (decided_by <> prepared_by),
  CHECK ((state IN ('released', 'refused')) = (decided_by IS NOT NULL)),
  CHECK (state NOT IN ('prepared', 'released', 'refused') OR prepared_by IS NOT NULL),
  CHECK ((state = 'refused') = (refusal_ground IS NOT NULL)),
  CHECK (lifted_at IS NULL OR kind = 'restriction' AND state = 'released' AND told_on IS NOT NULL AND lifted_by IS NOT NULL),
  CHECK (kind <> 'restriction' OR state <> 'released' OR restriction_ground IS NOT NULL)
);
CREATE INDEX rights_request_open ON rights_request (municipality_id, due_on, id) WHERE state IN ('received', 'prepared');
CREATE INDEX rights_request_closed ON rights_request (municipality_id, received_on, id) WHERE state NOT IN ('received', 'prepared');

-- Somebody whose record is gone asks who looked at it (D25). There is no client to lie under, and nothing is kept that
-- tells who asks: a keyed hash, codes, dates and a case number.
CREATE TABLE rights_former (
  municipality_id   int NOT NULL REFERENCES municipality,
  id                uuid NOT NULL DEFAULT gen_random_uuid(),
  subject_hash      bytea NOT NULL,
  state             text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'prepared', 'released', 'refused', 'withdrawn')),
  received_on       date NOT NULL,
  due_on            date NOT NULL,
  channel           text NOT NULL CHECK (channel IN ('letter', 'portal', 'phone', 'visit', 'email')),
  reference         text NOT NULL,
  received_by       bigint NOT NULL,
  received_at       timestamptz NOT NULL,
  extension_reason  text CHECK (extension_reason IN ('complex', 'many')),
  extension_told_on date,
  prepared_by       bigint,
  prepared_at       timestamptz,
  refusal_ground    text CHECK (refusal_ground IN ('others_rights', 'unfounded', 'not_identified')),
  decided_by        bigint,
  decided_at        timestamptz,
  expires_on        date NOT NULL,
  PRIMARY KEY (municipality_id, id),
  CHECK (due_on = add_months(received_on, CASE WHEN extension_reason IS NULL THEN 1 ELSE 3 END)),
  CHECK ((extension_reason IS NULL) = (extension_told_on IS NULL)),
  CHECK (extension_told_on BETWEEN received_on AND add_months(received_on, 1)),
  CHECK (decided_by <> prepared_by),
  CHECK ((state IN ('released', 'refused')) = (decided_by IS NOT NULL)),
  CHECK (state NOT IN ('prepared', 'released', 'refused') OR prepared_by IS NOT NULL),
  CHECK ((state = 'refused') = (refusal_ground IS NOT NULL))
);

CALL frist_wall('{rights_request,rights_former}');

-- GDPR 18: kept and hidden. Who, why and until when stands in the request; this is the mark that a reader of the record sees.
ALTER TABLE client ADD restricted_at timestamptz;
ALTER TABLE client DROP CONSTRAINT client_unplaced_reason_check,
  ADD CONSTRAINT client_unplaced_reason_check CHECK (unplaced_reason IN ('no_start_date', 'missing_rule', 'held', 'in_extra_run', 'taken_out', 'open_request', 'restricted'));

-- +goose StatementBegin
-- The steps of a request, by whom, and that nothing of how it came is rewritten. Whoever signs is whoever is here.
CREATE FUNCTION rights_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  me bigint := nullif(current_setting('frist.account', true), '')::bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'received' OR NEW.received_by IS DISTINCT FROM me OR NEW.extension_reason IS NOT NULL THEN
      RAISE EXCEPTION 'a request begins when it is received' USING ERRCODE = 'FR083';
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.municipality_id, NEW.id, NEW.received_on, NEW.received_by, NEW.received_at, NEW.channel, NEW.reference)
       IS DISTINCT FROM (OLD.municipality_id, OLD.id, OLD.received_on, OLD.received_by, OLD.received_at, OLD.channel, OLD.reference) THEN
    RAISE EXCEPTION 'how it came is not rewritten' USING ERRCODE = 'FR083';
  END IF;
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('received', 'prepared'), ('received', 'withdrawn'), ('prepared', 'received'),
       ('prepared', 'released'), ('prepared', 'refused'), ('prepared', 'withdrawn')) THEN
    RAISE EXCEPTION 'no step from % to %', OLD.state, NEW.state USING ERRCODE = 'FR083';
  END IF;
  IF OLD.state IN ('released', 'refused', 'withdrawn') AND NEW.due_on <> OLD.due_on OR OLD.extension_reason IS NOT NULL AND NEW.extension_reason IS DISTINCT FROM OLD.extension_reason THEN
    RAISE EXCEPTION 'the time is not moved again' USING ERRCODE = 'FR083';
  END IF;
  IF NEW.state = 'prepared' AND OLD.state <> 'prepared' AND NEW.prepared_by IS DISTINCT FROM me
     OR NEW.state IN ('released', 'refused') AND OLD.state = 'prepared' AND (NEW.decided_by IS DISTINCT FROM me OR NEW.prepared_by IS DISTINCT FROM OLD.prepared_by)
     OR OLD.state IN ('released', 'refused') AND (NEW.decided_by, NEW.decided_at, NEW.prepared_by) IS DISTINCT FROM (OLD.decided_by, OLD.decided_at, OLD.prepared_by) THEN
    RAISE EXCEPTION 'somebody else signs' USING ERRCODE = 'FR083';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER rights_guard BEFORE INSERT OR UPDATE ON rights_request FOR EACH ROW EXECUTE FUNCTION rights_guard();
CREATE TRIGGER rights_guard BEFORE INSERT OR UPDATE ON rights_former FOR EACH ROW EXECUTE FUNCTION rights_guard();

-- +goose StatementBegin
-- What belongs to requests under a client only: who they are of, of which kind, and how a restriction ends.
CREATE FUNCTION rights_restriction_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF (NEW.client_id, NEW.kind) IS DISTINCT FROM (OLD.client_id, OLD.kind) THEN
    RAISE EXCEPTION 'a request is not made another' USING ERRCODE = 'FR083';
  END IF;
  IF OLD.lifted_at IS NOT NULL AND (NEW.lifted_at, NEW.lifted_by, NEW.told_on) IS DISTINCT FROM (OLD.lifted_at, OLD.lifted_by, OLD.told_on) THEN
    RAISE EXCEPTION 'what is lifted stays lifted' USING ERRCODE = 'FR083';
  END IF;
  IF OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL AND (NEW.lifted_by IS DISTINCT FROM nullif(current_setting('frist.account', true), '')::bigint
       OR NEW.told_on > (NEW.lifted_at AT TIME ZONE (SELECT time_zone FROM municipality WHERE id = NEW.municipality_id))::date) THEN
    RAISE EXCEPTION 'the person is told first' USING ERRCODE = 'FR083';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER rights_restriction_guard BEFORE UPDATE ON rights_request FOR EACH ROW EXECUTE FUNCTION rights_restriction_guard();

-- +goose StatementBegin
-- The last guard: whoever asks is not deleted before there is an answer, nor while the data are only kept (D24, GDPR 18).
CREATE FUNCTION rights_kept_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM gone WHERE state IN ('received', 'prepared') AND kind <> 'erasure' OR kind = 'restriction' AND state = 'released' AND lifted_at IS NULL) THEN
    RAISE EXCEPTION 'a request of the person is open' USING ERRCODE = 'FR084';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER rights_kept_guard AFTER DELETE ON rights_request REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rights_kept_guard();

-- +goose StatementBegin
-- A client is marked as restricted exactly while a released request says so.
CREATE FUNCTION restricted_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  who uuid;
  marked boolean;
BEGIN
  IF TG_TABLE_NAME = 'client' THEN who := NEW.id; ELSE who := NEW.client_id; END IF;
  SELECT c.restricted_at IS NOT NULL INTO marked FROM client c WHERE c.municipality_id = NEW.municipality_id AND c.id = who;
  IF FOUND AND marked <> EXISTS (SELECT FROM rights_request r WHERE r.municipality_id = NEW.municipality_id AND r.client_id = who
       AND r.kind = 'restriction' AND r.state = 'released' AND r.lifted_at IS NULL) THEN
    RAISE EXCEPTION 'the mark and the decision differ' USING ERRCODE = 'FR083';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER restricted_guard AFTER UPDATE OF restricted_at ON client DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION restricted_guard();
CREATE CONSTRAINT TRIGGER restricted_guard AFTER UPDATE OF state, lifted_at ON rights_request DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.kind = 'restriction') EXECUTE FUNCTION restricted_guard();

CREATE TRIGGER client_alive AFTER INSERT ON rights_request REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION client_alive();

-- +goose StatementBegin
-- The client takes it along, and its words are forgotten in the planner's statistics. What other migrations have added to
-- the two functions stays.
DO $$
DECLARE
  along  text := pg_get_functiondef('client_takes_along()'::regprocedure);
  forget text := pg_get_functiondef('forget_in_statistics()'::regprocedure);
BEGIN
  along := replace(along, '    DELETE FROM alarm_event WHERE', '    DELETE FROM rights_request WHERE municipality_id = m.id AND client_id = ANY (m.clients);
    GET DIAGNOSTICS n = ROW_COUNT;
    took := took || jsonb_build_object(''rights_request'', coalesce((took ->> ''rights_request'')::bigint, 0) + n);
    DELETE FROM alarm_event WHERE');
  forget := replace(forget, '''stored_search''', '''rights_request'', ''stored_search''');
  IF along NOT LIKE '%DELETE FROM rights_request %' OR forget NOT LIKE '%''rights_request''%' THEN
    RAISE EXCEPTION 'the functions have another form than expected';
  END IF;
  EXECUTE along;
  EXECUTE forget;
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION rights_guard(), rights_restriction_guard(), rights_kept_guard(), restricted_guard() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rights_guard(), rights_restriction_guard(), rights_kept_guard(), restricted_guard() TO frist_municipality, frist_purger;
GRANT SELECT, INSERT ON rights_request, rights_former TO frist_municipality;
GRANT UPDATE (state, due_on, extension_reason, extension_told_on, prepared_by, prepared_at, answer, recipients, corrected, statement, remark, restriction_ground,
  refusal_ground, decision, outcome, decided_by, decided_at, told_on, lift_reason, lifted_by, lifted_at) ON rights_request TO frist_municipality;
GRANT UPDATE (state, due_on, extension_reason, extension_told_on, prepared_by, prepared_at, refusal_ground, decided_by, decided_at) ON rights_former TO frist_municipality;
GRANT SELECT (municipality_id, client_id, id, kind, state, lifted_at), DELETE ON rights_request TO frist_purger;
GRANT SELECT (municipality_id, expires_on), DELETE ON rights_former TO frist_purger;

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
  along  text := pg_get_functiondef('client_takes_along()'::regprocedure);
  forget text := pg_get_functiondef('forget_in_statistics()'::regprocedure);
BEGIN
  along := regexp_replace(along, '    DELETE FROM rights_request [^;]*;[^;]*;[^;]*;\n', '');
  forget := replace(forget, '''rights_request'', ', '');
  EXECUTE along;
  EXECUTE forget;
END $$;
-- +goose StatementEnd
DROP TRIGGER restricted_guard ON client;
DROP TABLE rights_former, rights_request;
DROP FUNCTION rights_guard(), rights_restriction_guard(), rights_kept_guard(), restricted_guard();
ALTER TABLE client DROP CONSTRAINT client_unplaced_reason_check,
  ADD CONSTRAINT client_unplaced_reason_check CHECK (unplaced_reason IN ('no_start_date', 'missing_rule', 'held', 'in_extra_run', 'taken_out'));
ALTER TABLE client DROP restricted_at;
