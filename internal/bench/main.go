// Command bench measures Frist against the bare statement, side by side in one run: every figure is a ratio, ours / peer,
// smaller is better, the median of alternating rounds. It makes its data, prints a table and writes bench.json.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/frist-app/frist/internal/localpg"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/migrations"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// figure is one line of bench.json. Ratio is ours / peer; Limit its upper bound, 0 when it is only shown.
type figure struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"ratio"`
	Limit float64 `json:"limit"`
	Note  string  `json:"note,omitempty"`
}

func main() {
	debug.SetGCPercent(400) // as cmd/frist does; the peers have it too
	home := flag.String("home", ".frist", "where the figures and the private database go")
	only := flag.String("only", "", "one part: purge, workers, memory, pages")
	profile := flag.Bool("profile", false, "print after each part where the server spent its time (needs pg_stat_statements)")
	flag.Parse()
	b := &bench{scale: 1}
	if err := b.run(context.Background(), *home, *only, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run's database and figures.
type bench struct {
	server  *localpg.Server
	home    string
	name    string
	admin   *pgxpool.Pool
	figures []figure
	scale   int // the measures' sizes are divided by it; 1 measures, more only tries whether the bench still runs
}

// n is a measure's size.
func (b *bench) n(full int) int { return max(full/b.scale, 10) }

func (b *bench) run(ctx context.Context, home, only string, profile bool) error {
	home, err := filepath.Abs(home)
	if err != nil {
		return err
	}
	dir := filepath.Join(home, "bench")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	settings := map[string]string{"autovacuum": "off", "max_wal_size": "16GB", "checkpoint_timeout": "1h"}
	if b.scale == 1 {
		settings["shared_buffers"], settings["maintenance_work_mem"] = "4GB", "512MB"
	}
	if profile {
		settings["shared_preload_libraries"] = "pg_stat_statements"
		settings["pg_stat_statements.track"] = "all" // what triggers and keys do, too
	}
	server, err := localpg.Start(ctx, localpg.Options{Dir: dir, Fsync: true, Settings: settings})
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a rest does no harm
	defer server.Stop()     //nolint:errcheck // the folder goes anyway
	b.server, b.home = server, home
	started := time.Now()
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"purge", b.purge}, {"workers", b.workers}, {"memory", b.memory}, {"pages", b.pages}} {
		if only != "" && only != part.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", part.name)
		if err := b.database(ctx, part.name); err != nil {
			return err
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if profile {
			if err := b.printProfile(ctx); err != nil {
				return err
			}
		}
		b.admin.Close()
		if err := b.drop(ctx); err != nil {
			return err
		}
	}
	return b.report(time.Since(started))
}

// database makes a migrated database of its own for a part.
func (b *bench) database(ctx context.Context, part string) error {
	b.name = "bench_" + part
	root, err := pgxpool.New(ctx, b.server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Exec(ctx, "CREATE DATABASE "+b.name); err != nil {
		return err
	}
	if err := pg.Migrate(ctx, b.server.DSN(b.name), migrations.FS, true); err != nil {
		return err
	}
	err = pg.SetPasswords(ctx, b.server.DSN(b.name), map[string]string{"frist_web": "bench", "frist_operator": "bench", "frist_worker": "bench"})
	if err != nil {
		return err
	}
	b.admin, err = pgxpool.New(ctx, b.server.DSN(b.name))
	return err
}

// printProfile shows what the part's statements cost, the ones inside triggers and keys among them.
func (b *bench) printProfile(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_stat_statements`); err != nil {
		return err
	}
	rows, err := b.admin.Query(ctx, `SELECT total_exec_time, calls, rows, regexp_replace(query, '\s+', ' ', 'g') FROM pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1 DESC LIMIT 60`)
	if err != nil {
		return err
	}
	var ms float64
	var calls, count int64
	var query string
	_, err = pgx.ForEachRow(rows, []any{&ms, &calls, &count, &query}, func() error {
		fmt.Fprintf(os.Stderr, "%9.1f ms %7d calls %9d rows  %.200s\n", ms, calls, count, query)
		return nil
	})
	return err
}

func (b *bench) drop(ctx context.Context) error {
	root, err := pgxpool.New(ctx, b.server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer root.Close()
	_, err = root.Exec(ctx, "DROP DATABASE "+b.name+" WITH (FORCE)")
	return err
}

func (b *bench) dsn(login string) string {
	return fmt.Sprintf("postgres://%s:bench@%s:%d/%s?sslmode=disable", login, b.server.Host(), b.server.Port(), b.name)
}

func (b *bench) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := b.admin.Exec(ctx, s); err != nil {
			return fmt.Errorf("%w in %.80s", err, s)
		}
	}
	return nil
}

func (b *bench) add(name string, ratio, limit float64, note string) {
	b.figures = append(b.figures, figure{name, ratio, limit, note})
	fmt.Fprintf(os.Stderr, "  %s: %.2f (limit %.2f) %s\n", name, ratio, limit, note)
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	return s[len(s)/2]
}

func (b *bench) report(took time.Duration) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "name\tratio\tlimit\t\tnote")
	for _, f := range b.figures {
		verdict := ""
		if f.Limit > 0 && f.Ratio > f.Limit {
			verdict = "over"
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%s\t%s\n", f.Name, f.Ratio, f.Limit, verdict, f.Note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("in %s\n", took.Round(time.Second))
	text, err := json.MarshalIndent(b.figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.home, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.home, "bench.json"), append(text, '\n'), 0o600)
}
