package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
)

// children is how many rows hang under one client: about 240, as in a real service (200 alarms, 20 changes and the rest).
type children struct{ alarms, changes, notes, recordings int }

var (
	full = children{200, 20, 5, 5}
	thin = children{2, 1, 1, 0}
)

// people loads clients that are due, by SQL with the triggers off, in n municipalities. Alarm rows lie in the order of
// time, so that one client's rows are spread over many pages, as they are in life.
func (b *bench) people(ctx context.Context, municipalities, clients int, c children) error {
	statements := []string{`SET session_replication_role = replica`}
	for m := 1; m <= municipalities; m++ {
		statements = append(statements,
			fmt.Sprintf(`INSERT INTO municipality (id) VALUES (%d)`, m),
			fmt.Sprintf(`INSERT INTO municipality_name VALUES (%d, '2000-01-01', '%d', 'Bench')`, m, 3000+m),
			fmt.Sprintf(`INSERT INTO municipality_policy (municipality_id, cooling_off_seconds, max_share_percent) VALUES (%d, 0, 100)`, m),
			fmt.Sprintf(`INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by) VALUES (%d, 'pre_run_control', '2000-01-01', 'DPA', 'x')`, m),
			fmt.Sprintf(`INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, outcome, authority, valid_from)
				SELECT %d, c, 1, 'disconnected', 6, 'destroy', 'bench', '2000-01-01' FROM unnest(ARRAY['client_record', 'alarm_log', 'recording', 'change_values', 'access_log', 'purged_registration']) c`, m),
		)
	}
	ids := fmt.Sprintf(`(SELECT m, md5(m || '-' || n)::uuid AS id, n FROM generate_series(1, %d) m, generate_series(1, %d) n)`, municipalities, clients)
	statements = append(statements,
		`INSERT INTO address (municipality_id, id, street, postcode, town) SELECT m, id, 'Gate ' || n, '1430', 'Ås' FROM `+ids+` p`,
		`INSERT INTO client (municipality_id, id, number, national_id, given_name, family_name, address_id, status, status_since, agreement_end, created_by, created_at, changed_by, changed_at)
			SELECT m, id, (200000000 + n)::text, (81000000000 + n)::text, 'Fornavn' || n, 'Etternavn' || n, id, 'disconnected', '2022-01-01', '2022-01-01', 0, '2020-01-01', 0, '2022-01-01' FROM `+ids+` p`,
		`INSERT INTO client_search SELECT m, id, 'fornavn' || n || ' etternavn' || n FROM `+ids+` p`,
		`INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at)
			SELECT m, id, timestamptz '2020-01-01' + s * interval '6 months', CASE WHEN s = 4 THEN 'disconnected' ELSE 'active' END, 0, now() FROM `+ids+` p, generate_series(1, 4) s`,
		`INSERT INTO next_of_kin (municipality_id, client_id, name, relation) SELECT m, id, 'Kin ' || s, 'datter' FROM `+ids+` p, generate_series(1, 2) s`,
		fmt.Sprintf(`INSERT INTO note (municipality_id, client_id, at, text, entered_by) SELECT m, id, now(), 'et notat', 0 FROM %s p, generate_series(1, %d) s`, ids, c.notes),
		fmt.Sprintf(`INSERT INTO recording (municipality_id, client_id, at, seconds, blob_key) SELECT m, id, now(), 2, m || '/' || gen_random_uuid() FROM %s p, generate_series(1, %d) s`, ids, c.recordings),
		`INSERT INTO property (municipality_id, client_id, name, value) SELECT m, id, 'nøkkelboks', 'ja' FROM `+ids+` p`,
		`INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) SELECT m, id, now(), 'en opplysning', 0 FROM `+ids+` p`,
		`INSERT INTO medication (municipality_id, client_id, name) SELECT m, id, 'et middel' FROM `+ids+` p`,
		`INSERT INTO care_plan (municipality_id, client_id, id, goal, since) SELECT m, id, n, 'trygg hjemme', '2021-01-01' FROM `+ids+` p`,
		`INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT m, id, n, now(), 'utført', 0 FROM `+ids+` p`,
		`INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) SELECT m, id, now(), 'phone', 'en samtale', 0 FROM `+ids+` p`,
		`INSERT INTO professional (municipality_id, id, name, profession) SELECT m, md5('p' || m || '-' || n)::uuid, 'Lege' || n, 'lege' FROM generate_series(1, `+fmt.Sprint(municipalities)+`) m, generate_series(0, 99) n`,
		`INSERT INTO client_professional (municipality_id, client_id, professional_id) SELECT m, id, md5('p' || m || '-' || n % 100)::uuid FROM `+ids+` p`,
		`INSERT INTO placement (municipality_id, client_id, act, at, account_id) SELECT m, id, 'placed', '2022-01-01', 0 FROM `+ids+` p`,
		`INSERT INTO device (municipality_id, id, code, kind, stock_state) SELECT m, id, 'D' || n, 'Trygghetsalarm', 'in_stock' FROM `+ids+` p`,
		`INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at, disconnected_at) SELECT m, id, id, '2021-01-01', '2022-01-01' FROM `+ids+` p, generate_series(1, 2) s`,
		fmt.Sprintf(`INSERT INTO alarm_event (municipality_id, client_id, at, kind, text) SELECT m, id, timestamptz '2021-01-01' + s * interval '40 hours', 'alarm', 'Utløst alarm' FROM generate_series(1, %d) s, %s p`, c.alarms, ids),
		fmt.Sprintf(`INSERT INTO client_change (municipality_id, client_id, at, field, from_value, to_value, account_id) SELECT m, id, timestamptz '2021-01-01' + s * interval '10 days', 'phone', '1', '2', 0 FROM generate_series(1, %d) s, %s p`, c.changes, ids),
		`SET session_replication_role = DEFAULT`,
	)
	conn, err := b.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%w in %.100s", err, s)
		}
	}
	return nil
}

// twin copies the same rows into a bare schema of the same tables, with the product's own keys and a key that cascades
// wherever a client's rows hang, also on the tables that carry none in the product: no row-level security, no triggers.
func (b *bench) twin(ctx context.Context) error {
	tables := []string{"address", "client"}
	for _, t := range explain.Catalogue() {
		if t.Action != "outlives" && slices.ContainsFunc(t.Links, func(l explain.Link) bool { return !l.Holds && (l.Table == "client" || l.Table == "care_plan") }) {
			tables = append(tables, t.Name)
		}
	}
	statements := []string{`CREATE SCHEMA bare`}
	for _, t := range tables {
		statements = append(statements,
			fmt.Sprintf(`CREATE TABLE bare.%s (LIKE public.%[1]s INCLUDING INDEXES)`, t),
			fmt.Sprintf(`INSERT INTO bare.%s SELECT * FROM public.%[1]s`, t))
	}
	statements = append(statements, `ALTER TABLE bare.client ADD FOREIGN KEY (municipality_id, address_id) REFERENCES bare.address`)
	for _, t := range tables[2:] {
		key := `(municipality_id, client_id) REFERENCES bare.client`
		if t == "care_plan_entry" {
			key = `(municipality_id, client_id, care_plan_id) REFERENCES bare.care_plan`
		}
		statements = append(statements, fmt.Sprintf(`ALTER TABLE bare.%s ADD FOREIGN KEY %s ON DELETE CASCADE`, t, key))
	}
	for _, t := range []string{"device_connection", "hold"} {
		statements = append(statements, fmt.Sprintf(`ALTER TABLE bare.%s ADD FOREIGN KEY (municipality_id, address_id) REFERENCES bare.address ON DELETE CASCADE`, t))
	}
	return b.exec(ctx, append(statements, `VACUUM ANALYZE`, `CHECKPOINT`)...)
}

const chunk = 500

// person has a role and has just proved who they are.
func person(role access.Role, account int64, m int) access.Caller {
	return access.Caller{Account: account, StaffNumber: "S", Roles: []access.Role{role}, Municipality: m, FreshUntil: time.Now().Add(time.Hour)}
}

// approved makes a running round over the next clients of a municipality, as the product's own approval would have left
// it, and gives their ids.
func (b *bench) approved(ctx context.Context, db *pg.DB, m, round, clients int) (int64, []uuid.UUID, error) {
	day := time.Date(2022, 10, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 3*round, 0).Format(time.DateOnly)
	var id int64
	err := b.admin.QueryRow(ctx, `INSERT INTO deletion_round (municipality_id, kind, run_on, number, state_since) VALUES ($1, 'scheduled', $2, $3, now()) RETURNING id`,
		m, day, fmt.Sprintf("%d-%s", 3000+m, strings.ReplaceAll(day, "-", "")[2:])).Scan(&id)
	if err != nil {
		return 0, nil, err
	}
	rows, err := b.admin.Query(ctx, `WITH taken AS (INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on)
			SELECT municipality_id, $2, id, 0, now(), 'system', '2022-07-01' FROM client c WHERE municipality_id = $1
				AND NOT EXISTS (SELECT FROM round_item i WHERE i.municipality_id = $1 AND i.client_id = c.id) ORDER BY md5(id::text) LIMIT $3 RETURNING client_id)
		SELECT client_id FROM taken`, m, id, clients)
	if err != nil {
		return 0, nil, err
	}
	var ids []uuid.UUID
	for rows.Next() {
		var u uuid.UUID
		if err := rows.Scan(&u); err != nil {
			return 0, nil, err
		}
		ids = append(ids, u)
	}
	if err := rows.Err(); err != nil {
		return 0, nil, err
	}
	if err := b.exec(ctx, fmt.Sprintf(`UPDATE deletion_round SET state = 'proposed' WHERE id = %d`, id), fmt.Sprintf(`UPDATE round_item SET state = 'ready' WHERE round_id = %d`, id),
		fmt.Sprintf(`UPDATE deletion_round SET state = 'controlled', controlled_by = 901 WHERE id = %d`, id)); err != nil {
		return 0, nil, err
	}
	err = db.InTx(ctx, person(access.Approver, 102, m), func(tx *pg.Tx) error { return deletion.Approve(ctx, tx, id, deletion.Approval{}) })
	if err != nil {
		return 0, nil, err
	}
	return id, ids, nil
}

func (b *bench) open(ctx context.Context) (*pg.DB, deletion.Deps, error) {
	db, err := pg.Open(ctx, pg.Config{Web: b.dsn("frist_web"), Operator: b.dsn("frist_operator"), Worker: b.dsn("frist_worker")})
	if err != nil {
		return nil, deletion.Deps{}, err
	}
	store, err := blob.OpenFolder(b.home + "/bench-blobs")
	return db, deletion.Deps{DB: db, Blobs: store, Key: []byte("bench"), Log: slog.New(slog.DiscardHandler)}, err
}

// ours purges the given rounds with real workers and gives the seconds from the first chunk's start to the last one's end.
// The jobs that empty the store are ordered in the chunks' transactions; they are worked by another process, not here.
func (b *bench) ours(ctx context.Context, db *pg.DB, deps deletion.Deps, workers int, rounds map[int]int64) (float64, error) {
	for m, id := range rounds {
		number := ""
		if err := b.admin.QueryRow(ctx, `SELECT number FROM deletion_round WHERE id = $1`, id).Scan(&number); err != nil {
			return 0, err
		}
		operator := person(access.Operator, 902, m)
		if err := db.InTx(ctx, operator, func(tx *pg.Tx) error { return deletion.Start(ctx, tx, id, number) }); err != nil {
			return 0, err
		}
	}
	runner, err := jobs.Start(ctx, jobs.Config{DSN: b.dsn("frist_worker"), Deps: deps, PurgeWorkers: workers, NoBlobs: true, NoTick: true})
	if err != nil {
		return 0, err
	}
	defer runner.Stop(ctx) //nolint:errcheck // the work is done
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var left int
		if err := b.admin.QueryRow(ctx, `SELECT count(*) FROM deletion_round WHERE state IN ('approved', 'running', 'paused')`).Scan(&left); err != nil {
			return 0, err
		}
		if left == 0 {
			break
		}
		if time.Since(start) > 10*time.Minute {
			return 0, fmt.Errorf("the round does not end")
		}
	}
	var seconds float64
	err = b.admin.QueryRow(ctx, `SELECT extract(epoch FROM max(finalized_at) - min(attempted_at)) FROM river.river_job WHERE kind = 'chunk' AND (args->>'round_id')::bigint = ANY ($1)`,
		values(rounds)).Scan(&seconds)
	return seconds, err
}

func values(m map[int]int64) []int64 {
	var all []int64
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// cascade is the peer: the bare DELETE of the same clients in the twin, in the same chunks.
func (b *bench) cascade(ctx context.Context, m int, ids []uuid.UUID) (float64, error) {
	start := time.Now()
	for len(ids) > 0 {
		n := min(chunk, len(ids))
		if _, err := b.admin.Exec(ctx, `DELETE FROM bare.client WHERE municipality_id = $1 AND id = ANY ($2)`, m, ids[:n]); err != nil {
			return 0, err
		}
		// The dwellings go too, as they do with us; in this data the id is the client's own.
		if _, err := b.admin.Exec(ctx, `DELETE FROM bare.address WHERE municipality_id = $1 AND id = ANY ($2)`, m, ids[:n]); err != nil {
			return 0, err
		}
		ids = ids[n:]
	}
	return time.Since(start).Seconds(), nil
}

// purge: everything (re-check under lock, hashes, protocol lines, audit, blob jobs) against the bare cascade.
func (b *bench) purge(ctx context.Context) error {
	const rounds = 5
	each := b.n(2500)
	if err := b.people(ctx, 1, rounds*each+2*each, full); err != nil {
		return err
	}
	if err := b.twin(ctx); err != nil {
		return err
	}
	db, deps, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var ratios []float64
	for round := range rounds + 1 { // the first warms up
		id, ids, err := b.approved(ctx, db, 1, round, each)
		if err != nil {
			return err
		}
		if err := b.exec(ctx, `CHECKPOINT`); err != nil {
			return err
		}
		var mine, peer float64
		for i := range 2 {
			if (i == 0) == (round%2 == 0) {
				mine, err = b.ours(ctx, db, deps, 1, map[int]int64{1: id})
			} else {
				peer, err = b.cascade(ctx, 1, ids)
			}
			if err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "  ours %.2f s, cascade %.2f s\n", mine, peer)
		if round > 0 {
			ratios = append(ratios, mine/peer)
		}
	}
	b.add("purge / bare cascade, one worker", median(ratios), 1.3, fmt.Sprintf("%d clients of ~240 rows a round, chunks of %d", each, chunk))
	return nil
}

// workers: two workers on two municipalities against one worker's cascade of both.
func (b *bench) workers(ctx context.Context) error {
	const rounds = 5
	each := b.n(1500)
	if err := b.people(ctx, 2, rounds*each+2*each, full); err != nil {
		return err
	}
	if err := b.twin(ctx); err != nil {
		return err
	}
	db, deps, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var ratios []float64
	for round := range rounds + 1 {
		started := map[int]int64{}
		var ids [3][]uuid.UUID
		for m := 1; m <= 2; m++ {
			if started[m], ids[m], err = b.approved(ctx, db, m, round, each); err != nil {
				return err
			}
		}
		if err := b.exec(ctx, `CHECKPOINT`); err != nil {
			return err
		}
		var mine, peer float64
		for i := range 2 {
			if (i == 0) == (round%2 == 0) {
				if mine, err = b.ours(ctx, db, deps, 2, started); err != nil {
					return err
				}
				continue
			}
			for m := 1; m <= 2; m++ {
				seconds, err := b.cascade(ctx, m, ids[m])
				if err != nil {
					return err
				}
				peer += seconds
			}
		}
		fmt.Fprintf(os.Stderr, "  ours %.2f s, cascade of both %.2f s\n", mine, peer)
		if round > 0 {
			ratios = append(ratios, mine/peer)
		}
	}
	b.add("purge, two workers on two municipalities / one worker's cascade of both", median(ratios), 0.9, "")
	return nil
}

// memory: the peak of a worker process of its own in a round of 100,000 clients, against 150 MiB.
func (b *bench) memory(ctx context.Context) error {
	clients := b.n(100_000)
	if err := b.people(ctx, 1, clients, thin); err != nil {
		return err
	}
	db, _, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := b.exec(ctx, `VACUUM ANALYZE`); err != nil {
		return err
	}
	id, _, err := b.approved(ctx, db, 1, 0, clients)
	if err != nil {
		return err
	}
	operator := person(access.Operator, 902, 1)
	var number string
	if err := b.admin.QueryRow(ctx, `SELECT number FROM deletion_round WHERE id = $1`, id).Scan(&number); err != nil {
		return err
	}
	if err := db.InTx(ctx, operator, func(tx *pg.Tx) error { return deletion.Start(ctx, tx, id, number) }); err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "frist-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home) //nolint:errcheck // a rest does no harm
	binary := home + "/frist"
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/frist-app/frist/cmd/frist").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := os.WriteFile(home+"/key", []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		return err
	}
	worker := exec.CommandContext(ctx, binary, "worker")
	worker.Env = append(os.Environ(), "FRIST_WORKER_DSN="+b.dsn("frist_worker"), "FRIST_HOME="+home, "FRIST_KEY_FILE="+home+"/key", "FRIST_BLOBS="+home+"/blobs")
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		return err
	}
	defer worker.Process.Kill() //nolint:errcheck // it may have ended
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var state string
		if err := b.admin.QueryRow(ctx, `SELECT state FROM deletion_round WHERE id = $1`, id).Scan(&state); err != nil {
			return err
		}
		if state == "finished" {
			break
		}
		if time.Since(start) > 15*time.Minute {
			return fmt.Errorf("the round stays %s", state)
		}
	}
	peak, err := highWater(worker.Process.Pid)
	if err != nil {
		return err
	}
	b.add("worker's peak memory in a round of 100,000 clients / 150 MiB", peak/150, 1, fmt.Sprintf("%.0f MiB", peak))
	return nil
}

// highWater is a process's VmHWM in MiB.
func highWater(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM")
}
