-- +goose Up
-- A function in SQL that is not merged into its caller's statement is planned anew at each call; one in PL/pgSQL keeps its
-- plan as long as the connection lives. These are asked on every request, or by every statement of a policy: planning the
-- question about visits was the dearest thing that the door did. They answer as before.

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION frist_now() RETURNS timestamptz LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  IF (SELECT demo FROM installation) THEN
    RETURN coalesce(nullif(current_setting('frist.now', true), '')::timestamptz, now());
  END IF;
  RETURN now();
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION visits_at_the_door(account bigint, stands_in int, visit uuid, works_in int) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
  at   timestamptz := frist_now();
  own  jsonb;
  here jsonb;
BEGIN
  IF $3 IS NOT NULL THEN
    SELECT jsonb_build_object('id', v.id, 'municipality', v.municipality_id, 'scope', v.scope, 'page', coalesce(v.page, ''), 'until', v.ends_at) INTO own FROM visit v
    WHERE v.municipality_id = $2 AND v.id = $3 AND v.visitor = $1 AND v.state = 'granted' AND v.ends_at > at;
  END IF;
  IF $4 > 0 THEN
    SELECT jsonb_agg(jsonb_build_object('id', v.id, 'scope', v.scope, 'page', coalesce(v.page, ''), 'until', v.ends_at, 'who', coalesce(a.staff_number, '')) ORDER BY v.ends_at, v.id) INTO here
    FROM visit v LEFT JOIN account a ON a.id = v.visitor
    WHERE v.municipality_id = $4 AND v.state = 'granted' AND v.ends_at > at;
  END IF;
  RETURN jsonb_build_object('own', own, 'here', here);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION visit_client(pages text[]) RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN (SELECT CASE v.scope WHEN 'client' THEN v.only_client ELSE '00000000-0000-0000-0000-000000000000' END FROM visit v
    WHERE v.municipality_id = nullif(current_setting('frist.municipality', true), '')::int
      AND v.id = nullif(current_setting('frist.visit', true), '')::uuid
      AND v.visitor = nullif(current_setting('frist.account', true), '')::bigint
      AND v.state = 'granted' AND v.ends_at > frist_now()
      AND (v.page IS NULL OR pages = '{}' OR v.page = ANY (pages)));
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION staff() RETURNS TABLE (id bigint, name text, staff_number text, roles text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.id, CASE WHEN current_setting('role', true) = 'frist_visitor' THEN a.staff_number ELSE a.name END, a.staff_number, a.roles FROM account a
    WHERE a.municipality_id = nullif(current_setting('frist.municipality', true), '')::int;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION staff() RETURNS TABLE (id bigint, name text, staff_number text, roles text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.id, CASE WHEN current_setting('role', true) = 'frist_visitor' THEN a.staff_number ELSE a.name END, a.staff_number, a.roles FROM account a
  WHERE a.municipality_id = nullif(current_setting('frist.municipality', true), '')::int
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION visit_client(pages text[]) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT CASE v.scope WHEN 'client' THEN v.only_client ELSE '00000000-0000-0000-0000-000000000000' END FROM visit v
  WHERE v.municipality_id = nullif(current_setting('frist.municipality', true), '')::int
    AND v.id = nullif(current_setting('frist.visit', true), '')::uuid
    AND v.visitor = nullif(current_setting('frist.account', true), '')::bigint
    AND v.state = 'granted' AND v.ends_at > frist_now()
    AND (v.page IS NULL OR pages = '{}' OR v.page = ANY (pages))
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION visits_at_the_door(account bigint, stands_in int, visit uuid, works_in int) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT jsonb_build_object(
    'own', (SELECT jsonb_build_object('id', v.id, 'municipality', v.municipality_id, 'scope', v.scope, 'page', coalesce(v.page, ''), 'until', v.ends_at) FROM visit v
      WHERE v.municipality_id = $2 AND v.id = $3 AND v.visitor = $1 AND v.state = 'granted' AND v.ends_at > frist_now()),
    'here', (SELECT jsonb_agg(jsonb_build_object('id', v.id, 'scope', v.scope, 'page', coalesce(v.page, ''), 'until', v.ends_at, 'who', coalesce(a.staff_number, '')) ORDER BY v.ends_at, v.id)
      FROM visit v LEFT JOIN account a ON a.id = v.visitor
      WHERE $4 > 0 AND v.municipality_id = $4 AND v.state = 'granted' AND v.ends_at > frist_now()))
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION frist_now() RETURNS timestamptz LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT CASE WHEN (SELECT demo FROM installation)
    THEN coalesce(nullif(current_setting('frist.now', true), '')::timestamptz, now())
    ELSE now() END
$$;
-- +goose StatementEnd
