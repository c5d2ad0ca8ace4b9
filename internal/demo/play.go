package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/register"
	"github.com/frist-app/frist/internal/retention"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Config says where the demo goes.
type Config struct {
	Admin                 string // connection string of the database's owner
	Web, Operator, Worker string // those of the three logins
	Blobs                 *blob.Store
	Key                   []byte                    // for the hashes of purged registrations
	Start                 time.Time                 // when the demo's clock begins: everything is relative to it
	Password              func(login string) string // of each persona
	Log                   *slog.Logger

	Clients int // of each municipality; 0: as the towns say
	Events  int // alarm events of a client, about; 0: 200
}

// State is how far a database's demo is.
type State int

// The states.
const (
	Empty State = iota
	Half        // loading was interrupted
	Loaded
)

const loadedAct = "demo_loaded"

// Find tells how far the database's demo is, and the latest instant that anything in it happened: no clock may show
// less. dsn is the owner's.
func Find(ctx context.Context, dsn string) (State, time.Time, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return Empty, time.Time{}, pg.Translate(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	rows, err := conn.Query(ctx, `SELECT id FROM municipality ORDER BY id`)
	if err != nil {
		return Empty, time.Time{}, pg.Translate(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(ids) == 1 { // the installation itself is always there
		return Empty, time.Time{}, pg.Translate(err)
	}
	state, latest := Half, time.Time{}
	for _, id := range ids { // the owner stands behind the policies too, unless it is a superuser
		var at *time.Time
		var loaded bool // where the sweep has dropped old rows, that row may be among them
		if _, err := conn.Exec(ctx, `SELECT set_config('frist.municipality', $1::text, false)`, strconv.Itoa(id)); err != nil {
			return Empty, time.Time{}, pg.Translate(err)
		}
		err := conn.QueryRow(ctx, `SELECT max(at), coalesce(bool_or(act = $2 OR act = 'log_expired'), false) FROM audit WHERE municipality_id = $1`, id, loadedAct).Scan(&at, &loaded)
		if err != nil {
			return Empty, time.Time{}, pg.Translate(err)
		}
		if at != nil && at.After(latest) {
			latest = *at
		}
		if loaded {
			state = Loaded
		}
	}
	return state, latest, nil
}

// Load makes the demo's world in an empty database (Find answers Empty): municipalities, people, everything that hangs
// on them, and then what happened since, by the product's own functions under a clock that is turned from instant to
// instant: the round of the previous quarter is controlled, approved, started and purged, and its protocol written; the
// round of this quarter is proposed and waits for control. It is not one transaction: what was interrupted is Half.
func Load(ctx context.Context, config Config) error {
	if state, _, err := Find(ctx, config.Admin); err != nil {
		return err
	} else if state != Empty {
		return errHalf
	}
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		return err
	}
	if config.Events == 0 {
		config.Events = 200
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	p := &play{config: config, days: daysFor(config.Start, zone)}
	p.clock.Store(&p.days.first)
	p.db, err = pg.Open(ctx, pg.Config{Web: config.Web, Operator: config.Operator, Worker: config.Worker, Clock: func() time.Time { return *p.clock.Load() }})
	if err != nil {
		return err
	}
	defer p.db.Close()
	if err := p.found(ctx); err != nil {
		return fmt.Errorf("demo: municipalities: %w", err)
	}
	if err := p.networks(ctx); err != nil {
		return fmt.Errorf("demo: networks: %w", err)
	}
	p.set(p.days.load)
	if err := p.people(ctx); err != nil {
		return fmt.Errorf("demo: people: %w", err)
	}
	if err := p.perform(ctx); err != nil {
		return err
	}
	if err := p.access(ctx); err != nil {
		return fmt.Errorf("demo: access: %w", err)
	}
	if err := p.registers(ctx); err != nil {
		return fmt.Errorf("demo: registers: %w", err)
	}
	p.set(p.days.start)
	return p.db.InTx(ctx, p.platform, func(tx *pg.Tx) error {
		audit.Write(tx, access.PlatformManage, audit.Record{Act: loadedAct, Subject: "installation", SubjectID: "0"})
		return nil
	})
}

// play is the loading under way.
type play struct {
	config Config
	days   days
	db     *pg.DB
	clock  atomic.Pointer[time.Time]

	platform, support, operator access.Caller
	towns                       []*stage
}

// stage is one municipality with its people.
type stage struct {
	*place
	id                     int
	caseworkers, approvers []access.Caller
	administrator          access.Caller
	administrators         []access.Caller
}

func (p *play) set(at time.Time) { p.clock.Store(&at) }

// found makes the municipalities, their rules and everybody who signs in.
func (p *play) found(ctx context.Context) error {
	municipalities := map[string]int{}
	by := access.Caller{Roles: []access.Role{access.PlatformAdministrator}}
	for _, town := range Towns {
		err := p.db.InTx(ctx, by, func(tx *pg.Tx) error {
			known, ok := register.MunicipalityByNumber(town.Number)
			if !ok {
				return errors.New("the register lacks a municipality of the demo")
			}
			policy := municipality.DefaultPolicy
			policy.CoolingOff = town.CoolingOff
			id, err := municipality.Create(ctx, tx, known.Number, known.Name, policy)
			if err != nil {
				return err
			}
			municipalities[town.Number] = id
			return retention.Seed(ctx, tx, calendar.DateOf(p.days.first.In(p.days.zone)), !town.ArchiveOpen)
		})
		if err != nil {
			return err
		}
	}
	personas := Personas()
	callers := make([]access.Caller, len(personas))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(2) // each password costs a hash, and those who wait too long for one are sent away
	for i, persona := range personas {
		group.Go(func() error {
			m := municipalities[persona.Municipality]
			id, number, err := account.CreateFirst(gctx, p.db, account.New{
				Municipality: m, Login: persona.Login, Name: persona.Name, Password: p.config.Password(persona.Login), Roles: []access.Role{persona.Role},
			})
			callers[i] = access.Caller{Account: id, StaffNumber: number, Name: persona.Name, Roles: []access.Role{persona.Role}, Municipality: m, FreshUntil: p.days.start.AddDate(0, 0, 1)}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	of := func(number string, role access.Role) (list []access.Caller) {
		for i, persona := range personas {
			if persona.Municipality == number && persona.Role == role {
				list = append(list, callers[i])
			}
		}
		return list
	}
	p.platform, p.support, p.operator = of("", access.PlatformAdministrator)[0], of("", access.Support)[0], of("", access.Operator)[0]
	for i, town := range Towns {
		if p.config.Clients > 0 {
			town.Clients = p.config.Clients
		}
		s := &stage{id: municipalities[town.Number], caseworkers: of(town.Number, access.Caseworker), approvers: of(town.Number, access.Approver), administrators: of(town.Number, access.Administrator)}
		s.administrator = s.administrators[0]
		var ids staff
		for _, c := range s.caseworkers {
			ids.caseworkers = append(ids.caseworkers, c.Account)
		}
		for _, c := range s.approvers {
			ids.approvers = append(ids.approvers, c.Account)
		}
		s.place = build(i, town, ids, p.days)
		p.towns = append(p.towns, s)
	}
	return nil
}

// people brings everybody in, the municipalities side by side.
func (p *play) people(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range p.towns {
		group.Go(func() error {
			if err := s.register(ctx, p.db, s.caseworkers[0]); err != nil {
				return err
			}
			sounds, err := s.fill(ctx, p.config.Admin, s.id, p.config.Events)
			if err != nil {
				return err
			}
			return sounds.store(ctx, p.config.Blobs)
		})
	}
	return group.Wait()
}

// step is something that happened at an instant.
type step struct {
	at   time.Time
	what string
	do   func(ctx context.Context) error
}

// perform lets happen what happened between the load and the start, in order, with a real worker that does its jobs.
func (p *play) perform(ctx context.Context) error {
	worker, err := jobs.Start(ctx, jobs.Config{
		DSN: p.config.Worker, Log: p.config.Log, NoTick: true,
		Deps: deletion.Deps{DB: p.db, Blobs: p.config.Blobs, Key: p.config.Key, Log: p.config.Log},
	})
	if err != nil {
		return err
	}
	err = p.steps(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, worker.Stop(stop))
}

func (p *play) steps(ctx context.Context) error {
	d := p.days
	var steps []step
	add := func(at time.Time, what string, do func(ctx context.Context) error) {
		if at.Before(d.start) {
			steps = append(steps, step{at, what, do})
		}
	}
	sweep := func(ctx context.Context) error { return deletion.Sweep(ctx, p.db) }
	for _, quarter := range []calendar.Date{d.previous, d.current} {
		add(d.at(quarter.AddDays(-deletion.LeadDays), 5, 0), "sweep", sweep)
		add(d.at(quarter, 5, 0), "sweep", sweep)
	}
	for _, s := range p.towns {
		for _, l := range p.looks(s) {
			add(l.at, l.what, l.do)
		}
		if !s.town.ArchiveOpen {
			add(d.at(d.previous.AddDays(-10), 9, 0), "control", func(ctx context.Context) error { return p.control(ctx, s) })
			add(d.at(d.previous.AddDays(-9), 13, 0), "approve", func(ctx context.Context) error { return p.approve(ctx, s) })
			add(d.at(d.previous, 9, 0), "start", func(ctx context.Context) error { return p.start(ctx, s) })
		}
		for n, i := range s.of(leaving) {
			add(s.people[i].until, "disconnect", func(ctx context.Context) error { return p.leave(ctx, s, i, n) })
		}
		add(d.at(d.previous.AddDays(35), 10, 0), "re-activate", func(ctx context.Context) error {
			return p.as(ctx, s.caseworkers[0], func(tx *pg.Tx) error {
				return deletion.Reactivate(ctx, tx, s.people[s.of(due)[5]].id, deletion.StatusChange{To: client.Active})
			})
		})
		add(d.at(d.previous.AddDays(45), 14, 0), "hold", func(ctx context.Context) error {
			return p.as(ctx, s.caseworkers[1], func(tx *pg.Tx) error {
				_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{
					ClientID: &s.people[s.of(due)[6]].id, Reason: "complaint", Authority: "Statsforvalteren, sak 3321", ReviewOn: d.today.AddDays(60),
				})
				return err
			})
		})
		add(d.at(d.previous.AddDays(40), 12, 0), "shielded", func(ctx context.Context) error { return p.shielded(ctx, s) })
		for _, a := range p.asks(s) {
			add(a.at, a.what, a.do)
		}
		p.visits(s, add)
		add(d.at(d.previous.AddDays(50), 11, 0), "move", func(ctx context.Context) error { return p.postpone(ctx, s) })
	}
	steps = append(steps, step{d.start, "sweep", sweep})
	slices.SortStableFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	for _, s := range steps {
		p.set(s.at)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("demo: %s on %s: %w", s.what, s.at.Format(time.DateOnly), err)
		}
	}
	return nil
}

func (p *play) as(ctx context.Context, caller access.Caller, do func(tx *pg.Tx) error) error {
	return p.db.InTx(ctx, caller, do)
}

// round finds the previous quarter's round of a municipality.
func (p *play) round(ctx context.Context, s *stage) (found deletion.Round, err error) {
	err = p.as(ctx, access.SystemFor(s.id), func(tx *pg.Tx) error {
		rounds, err := deletion.Rounds(ctx, tx)
		i := slices.IndexFunc(rounds, func(r deletion.Round) bool { return r.RunOn == p.days.previous && r.Kind == "scheduled" })
		if err == nil && i < 0 {
			err = errors.New("the round of the previous quarter is missing")
		}
		if err == nil {
			found = rounds[i]
		}
		return err
	})
	return found, err
}

// await waits for the workers.
func (p *play) await(ctx context.Context, s *stage, done func(r deletion.Round) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		r, err := p.round(ctx, s)
		if err != nil || done(r) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the workers are not through; the round is %s", r.State)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// control is support's part: the control, the finding of every spot check, its end.
func (p *play) control(ctx context.Context, s *stage) error {
	r, err := p.round(ctx, s)
	if err != nil {
		return err
	}
	support := p.support.In(s.id)
	if err := p.as(ctx, support, func(tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, r.ID) }); err != nil {
		return err
	}
	if err := p.await(ctx, s, func(r deletion.Round) bool { return r.ReadyCount != nil }); err != nil {
		return err
	}
	return p.as(ctx, support, func(tx *pg.Tx) error {
		checks, err := deletion.SpotChecks(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		for _, c := range checks {
			if err := deletion.Find(ctx, tx, r.ID, c.Position, deletion.FoundInStock); err != nil {
				return err
			}
		}
		return deletion.FinishControl(ctx, tx, r.ID)
	})
}

func (p *play) approve(ctx context.Context, s *stage) error {
	r, err := p.round(ctx, s)
	if err != nil {
		return err
	}
	return p.as(ctx, s.approvers[0], func(tx *pg.Tx) error { return deletion.Approve(ctx, tx, r.ID, deletion.Approval{}) })
}

// start is the operator's part; the workers do the rest, and this waits for the protocol.
func (p *play) start(ctx context.Context, s *stage) error {
	r, err := p.round(ctx, s)
	if err != nil {
		return err
	}
	if err := p.as(ctx, p.operator.In(s.id), func(tx *pg.Tx) error { return deletion.Start(ctx, tx, r.ID, r.Number) }); err != nil {
		return err
	}
	return p.await(ctx, s, func(r deletion.Round) bool { return r.State == deletion.Finished })
}

// leave disconnects a client; every second one has given its devices back before.
func (p *play) leave(ctx context.Context, s *stage, i, n int) error {
	c := s.people[i]
	by := s.caseworkers[n%len(s.caseworkers)]
	return p.as(ctx, by, func(tx *pg.Tx) error {
		if n%2 == 0 {
			for _, k := range s.links {
				if k.person == i && k.to == nil {
					if err := device.Disconnect(ctx, tx, s.devices[k.device].id); err != nil {
						return err
					}
				}
			}
		}
		_, err := deletion.Disconnect(ctx, tx, c.id, deletion.StatusChange{To: client.Disconnected, Reason: client.EndReasons[n%len(client.EndReasons)]})
		return err
	})
}

// postpone moves a client to the group after its own, with a reason (D10).
func (p *play) postpone(ctx context.Context, s *stage) error {
	return p.as(ctx, s.caseworkers[1], func(tx *pg.Tx) error {
		id := s.people[s.of(later)[0]].id
		placement, err := deletion.PlacementOf(ctx, tx, id)
		if err != nil {
			return err
		}
		groups, err := deletion.OpenGroups(ctx, tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(groups, func(r deletion.Round) bool { return r.ID == placement.Round.ID })
		return deletion.Move(ctx, tx, id, groups[i+1].ID, "Pårørende har bedt om tid til å hente nøkler.")
	})
}
