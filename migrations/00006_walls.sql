-- +goose Up
-- The walls between municipalities and between roles. Every table with a municipality_id has row-level security, enabled
-- and forced, and one form of policy: a missing setting means no rows, and the cast is on the setting, never on the column.
-- +goose StatementBegin
DO $$
DECLARE
  t text;
BEGIN
  FOR t IN
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'municipality_id' AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND c.relname NOT IN ('municipality_name', 'account', 'round_directory') -- public facts, sign-in only, numbers only
    ORDER BY 1
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format($f$CREATE POLICY own_municipality ON %I
      USING (municipality_id = (SELECT nullif(current_setting('frist.municipality', true), '')::int))
      WITH CHECK (municipality_id = (SELECT nullif(current_setting('frist.municipality', true), '')::int))$f$, t);
  END LOOP;
END $$;
-- +goose StatementEnd
-- Where a round lives everybody may look up; nobody writes it down for another municipality.
ALTER TABLE round_directory ENABLE ROW LEVEL SECURITY;
ALTER TABLE round_directory FORCE ROW LEVEL SECURITY;
CREATE POLICY look_up ON round_directory FOR SELECT USING (true);
CREATE POLICY own_round ON round_directory FOR INSERT
  WITH CHECK (municipality_id = (SELECT nullif(current_setting('frist.municipality', true), '')::int));
-- Answers of one account are nobody else's.
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON idempotency
  USING (account_id = (SELECT nullif(current_setting('frist.account', true), '')::bigint))
  WITH CHECK (account_id = (SELECT nullif(current_setting('frist.account', true), '')::bigint));

-- The sweep drops answers that are older than a day, whoever's they are.
CREATE POLICY expiry ON idempotency TO frist_purger USING (true);

-- Functions that look further than their caller belong to a role without a login that has just these rights. It stands
-- behind the same policies; search is the one exception, because LIKE is not leakproof and the index would not be used.
CREATE POLICY search ON client_search TO frist_definer USING (true);
GRANT SELECT ON client_search, deletion_round, round_item, deletion_order, municipality TO frist_definer;
GRANT SELECT (id, municipality_id, name, staff_number, roles) ON account TO frist_definer;
GRANT CREATE ON SCHEMA public TO frist_definer;
GRANT frist_definer TO CURRENT_USER; -- an owner who is no superuser may hand over only to a role it is in
ALTER FUNCTION search_clients(text, int) OWNER TO frist_definer;
ALTER FUNCTION staff() OWNER TO frist_definer;
ALTER FUNCTION staff_number(bigint) OWNER TO frist_definer;
ALTER FUNCTION round_tally(bigint) OWNER TO frist_definer;
ALTER FUNCTION round_board(text[]) OWNER TO frist_definer;
ALTER FUNCTION order_board(uuid) OWNER TO frist_definer;
REVOKE CREATE ON SCHEMA public FROM frist_definer;
REVOKE frist_definer FROM CURRENT_USER;

-- A temporary table comes before a real one of the same name unless the path says otherwise, and everybody may make one:
-- what guards read must not be their caller's.
ALTER FUNCTION client_alive() SET search_path = public, pg_temp;
ALTER FUNCTION client_takes_along() SET search_path = public, pg_temp;
ALTER FUNCTION round_leftovers(bigint) SET search_path = public, pg_temp;
ALTER FUNCTION status_entry_guard() SET search_path = public, pg_temp;
ALTER FUNCTION clients_due_on(int, uuid[]) SET search_path = public, pg_temp;
ALTER FUNCTION round_item_guard() SET search_path = public, pg_temp;
ALTER FUNCTION round_list_guard() SET search_path = public, pg_temp;
ALTER FUNCTION deletion_round_guard() SET search_path = public, pg_temp;
ALTER FUNCTION client_gone_guard() SET search_path = public, pg_temp;
ALTER FUNCTION placement_guard() SET search_path = public, pg_temp;
ALTER FUNCTION frist_refuse() SET search_path = public, pg_temp;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION frist_now(), add_months(date, int), quarter_on_or_after(date), due_on(date, int, int, boolean, text)
  TO frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_definer;
GRANT EXECUTE ON FUNCTION client_alive(), status_entry_guard(), round_item_guard(), round_list_guard(), deletion_round_guard(), client_gone_guard(), placement_guard(), frist_refuse()
  TO frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger;
GRANT EXECUTE ON FUNCTION search_clients(text, int), staff() TO frist_municipality;
GRANT EXECUTE ON FUNCTION clients_due_on(int, uuid[]) TO frist_municipality, frist_purger;
GRANT EXECUTE ON FUNCTION staff_number(bigint) TO frist_municipality, frist_support, frist_purger;
GRANT EXECUTE ON FUNCTION round_tally(bigint) TO frist_municipality, frist_support, frist_supplier, frist_purger;
GRANT EXECUTE ON FUNCTION forget_in_statistics(), round_leftovers(bigint) TO frist_purger;
GRANT EXECUTE ON FUNCTION order_board(uuid) TO frist_support;
GRANT EXECUTE ON FUNCTION round_board(text[]) TO frist_support, frist_supplier, frist_platform, frist_purger;

-- Everybody: whether this is a demo, which municipalities there are, the table of steps, and their own trail.
GRANT SELECT ON installation, municipality, municipality_name, round_transition
  TO frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger;
GRANT INSERT ON round_directory TO frist_municipality, frist_support, frist_purger;
GRANT SELECT ON round_directory TO frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger;
GRANT INSERT ON audit TO frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger;
GRANT SELECT, INSERT, UPDATE ON idempotency TO frist_municipality, frist_support, frist_supplier;
GRANT SELECT, DELETE ON idempotency TO frist_purger;

-- Signing in: accounts and sessions, nothing else.
GRANT SELECT, INSERT, UPDATE ON account TO frist_signin;
GRANT SELECT, INSERT, UPDATE, DELETE ON session, api_key, sign_in_failure TO frist_signin;

-- The platform administrator makes municipalities and watches health; no client table.
GRANT INSERT ON municipality, municipality_name, municipality_policy, instruction, retention_rule TO frist_platform;
GRANT SELECT ON municipality_policy, instruction, retention_rule TO frist_platform;

-- People of a municipality. Nobody here can delete a client, nor any of its history.
GRANT SELECT ON municipality_policy, instruction, retention_rule, audit, access_log, status_entry, note, property, next_of_kin, professional,
  client_professional, medical_entry, medication, care_plan, care_plan_entry, communication, recording, alarm_event, client_change,
  address_event, address_event_client, client_search, stored_search, placement, round_hand, round_event, spot_check, round_chunk, round_count,
  protocol, order_client, import_run, import_refusal, purged_registration, blob_deletion TO frist_municipality;
GRANT INSERT ON access_log, status_entry, client_change, client_search, stored_search, placement, round_hand, round_event, round_chunk, order_client,
  import_run, import_refusal, note, property, next_of_kin TO frist_municipality;
GRANT SELECT, INSERT, UPDATE ON number_series, client, address, device, device_connection, hold, deletion_round, round_item, deletion_order TO frist_municipality;
GRANT UPDATE (text) ON client_search TO frist_municipality;
GRANT UPDATE ON round_hand, import_run TO frist_municipality;
GRANT UPDATE (finding, found_by, found_at) ON spot_check TO frist_municipality; -- a rejected control is done anew

-- Support: counts, device codes and stock state, the sample and its findings, orders; no client, no address, no item.
GRANT SELECT ON municipality_policy, instruction, retention_rule, spot_check, round_hand, round_chunk, round_count, protocol, deletion_order TO frist_support;
GRANT SELECT (municipality_id, id, code, kind, stock_state) ON device TO frist_support;
GRANT SELECT, INSERT, UPDATE ON deletion_round TO frist_support;
GRANT UPDATE (finding, found_by, found_at) ON spot_check TO frist_support;
GRANT SELECT (municipality_id, round_id, id, at, account_id, role, act, code), INSERT ON round_event TO frist_support;
GRANT INSERT ON round_hand, access_log TO frist_support;
GRANT UPDATE (times, last_at) ON round_hand TO frist_support;
GRANT UPDATE (state, ordered_by, ordered_at, round_id) ON deletion_order TO frist_support;

-- The supplier's operator: rounds by number and count; start, pause, resume. No grant on any table with a personal column.
GRANT SELECT (municipality_id, id, kind, run_on, number, state, state_since, cooling_off_until, approved_at, approved_by, controlled_by, approved_hash, approved_count,
  brake, brake_lifted_by, incident, chunks, started_at, started_by, finished_at) ON deletion_round TO frist_supplier;
GRANT UPDATE (state, state_since, started_by, started_at) ON deletion_round TO frist_supplier;
GRANT INSERT ON round_event TO frist_supplier;
GRANT SELECT (municipality_id, round_id, id, at, role, act) ON round_event TO frist_supplier;
GRANT SELECT ON protocol TO frist_supplier;
GRANT SELECT (municipality_id, round_id, chunk, done_at) ON round_chunk TO frist_supplier; -- how far, not how many

-- The purger: the only role that deletes clients, and the one that decides nothing by itself. It cannot read accounts.
GRANT SELECT ON municipality_policy, instruction, retention_rule, placement, round_hand, round_event, protocol, deletion_order, order_client, import_run TO frist_purger;
GRANT SELECT, UPDATE, DELETE ON client, address, hold TO frist_purger;
GRANT SELECT, INSERT, UPDATE ON number_series TO frist_purger;
GRANT SELECT, DELETE ON client_search, status_entry, note, property, next_of_kin, professional, client_professional, medical_entry, medication,
  care_plan, care_plan_entry, communication, recording, alarm_event, client_change, address_event, address_event_client, stored_search TO frist_purger;
GRANT SELECT, UPDATE, DELETE ON device_connection TO frist_purger;
GRANT SELECT, UPDATE ON device TO frist_purger;
GRANT DELETE ON placement, order_client, import_run, import_refusal TO frist_purger;
GRANT SELECT ON import_refusal TO frist_purger;
GRANT SELECT, INSERT, UPDATE ON deletion_round, round_item, round_chunk, round_count, blob_deletion, spot_check, purged_registration, access_subject TO frist_purger;
GRANT INSERT ON round_event, protocol, placement TO frist_purger;
GRANT USAGE ON SEQUENCE blob_batch TO frist_purger;
GRANT DELETE ON purged_registration, access_subject TO frist_purger;

-- Jobs carry ids only. Everybody who decides may wake a worker; the worker's own machinery has a role of its own.
GRANT USAGE ON SCHEMA river TO frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_jobs;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA river TO frist_jobs;
GRANT ALL ON ALL SEQUENCES IN SCHEMA river TO frist_jobs;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA river TO frist_municipality, frist_support, frist_supplier, frist_purger, frist_jobs, frist_platform;
GRANT SELECT, INSERT, UPDATE (kind) ON river.river_job TO frist_municipality, frist_support, frist_supplier;
GRANT SELECT, INSERT, UPDATE ON river.river_job TO frist_purger;
GRANT SELECT ON river.river_job, river.river_queue TO frist_platform;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA river TO frist_municipality, frist_support, frist_supplier, frist_purger;

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
    EXECUTE format('DROP POLICY %I ON %I', t.policyname, t.tablename);
    EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', t.tablename);
  END LOOP;
END $$;
-- +goose StatementEnd
REVOKE ALL ON ALL TABLES IN SCHEMA public, river FROM frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_jobs, frist_definer;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public, river FROM frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_jobs, frist_definer;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public, river FROM frist_signin, frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_jobs;
REVOKE ALL ON SCHEMA river FROM frist_municipality, frist_support, frist_supplier, frist_platform, frist_purger, frist_jobs;
