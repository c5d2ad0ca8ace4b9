package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/register"
	"github.com/frist-app/frist/internal/retention"
)

type userCommand struct {
	Login           string        `arg:"" help:"What the person types to sign in."`
	Name            string        `required:"" help:"The person's name."`
	Role            []access.Role `required:"" help:"caseworker, approver, privacy_officer, administrator; or support, operator, platform_administrator."`
	Municipality    string        `help:"Number of the municipality, four digits; none for support, operator and platform administrator."`
	NewMunicipality bool          `help:"Make the municipality when it is not there yet, with the default rules and the archive question open."`
	Network         string        `help:"A network from which this municipality's passwords work, as 10.1.0.0/16. Later ones are approved on the pages."`
	Language        string        `default:"nb" enum:"nb,en" help:"nb or en."`
	Home            string        `env:"FRIST_HOME" help:"Home of a demo (${env})."`
}

// Run makes the account. Everything is looked at before the password is asked for; that comes from FRIST_PASSWORD,
// FRIST_PASSWORD_FILE or the first line of the input.
func (u *userCommand) Run(ctx context.Context, c console) error {
	text := speech()
	person := account.New{Login: u.Login, Name: u.Name, Roles: u.Role, Language: u.Language}
	var place register.Municipality
	if u.Municipality != "" {
		var ok bool
		if place, ok = register.MunicipalityByNumber(u.Municipality); !ok {
			return errors.New(text.Say("cli.user.no_such_number", problem.Params{"number": u.Municipality}))
		}
		person.Municipality = unknown
	}
	if err := person.Check(); err != nil {
		if wrong := (problem.Invalid{}); errors.As(err, &wrong) && wrong.Fields[0].Code == "role_no_municipality" {
			return errors.New(text.Say("cli.user.no_municipality", wrong.Fields[0].Params))
		}
		return err
	}
	db, err := openWeb(ctx, u.Home)
	if err != nil {
		return err
	}
	defer db.Close()
	if u.Municipality != "" {
		id, err := findMunicipality(ctx, db, u.Municipality)
		switch {
		case err == nil:
			person.Municipality = id
		case !errors.As(err, new(problem.NotFound)):
			return err
		case !u.NewMunicipality:
			return errors.New(text.Say("cli.user.new_municipality", problem.Params{"name": place.Name}))
		}
	}
	err = account.Free(ctx, db, u.Login)
	if errors.As(err, new(problem.Invalid)) {
		return errors.New(text.Say("cli.user.taken", problem.Params{"login": u.Login}))
	}
	if err != nil {
		return err
	}
	if person.Password, err = u.password(text, c); err != nil {
		return err
	}
	if person.Municipality == unknown {
		if person.Municipality, err = newMunicipality(ctx, db, place); err != nil {
			return err
		}
	}
	if u.Network != "" {
		if err := account.AddRange(ctx, db, person.Municipality, u.Network, u.Network); err != nil {
			return err
		}
	}
	_, staffNumber, err := account.CreateFirst(ctx, db, person)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, text.Say("cli.user.done", problem.Params{"login": u.Login, "number": staffNumber}))
	anywhere, err := account.AnyNetwork(ctx, db, person.Municipality)
	if err == nil && !anywhere {
		fmt.Fprintln(c.err, text.Say("cli.user.no_network", nil))
	}
	return err
}

// unknown stands for a municipality that is not there yet.
const unknown = -1

func (u *userCommand) password(text edge.Text, c console) (string, error) {
	password, err := secret("FRIST_PASSWORD")
	if err != nil {
		return "", err
	}
	if password == "" {
		fmt.Fprint(c.err, text.Say("cli.user.password", problem.Params{"min": account.ShortestPassword}))
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if err != nil {
			fmt.Fprintln(c.err) // nobody pressed Enter
		}
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return "", errors.New(text.Say("cli.user.no_password", nil))
		}
	}
	return password, account.CheckPassword(password)
}

// newMunicipality makes one with the default rules; nobody has answered its archive question (D6).
func newMunicipality(ctx context.Context, db *pg.DB, place register.Municipality) (id int, err error) {
	err = db.InTx(ctx, access.Caller{Roles: []access.Role{access.PlatformAdministrator}}, func(tx *pg.Tx) error {
		if id, err = municipality.Create(ctx, tx, place.Number, place.Name, municipality.DefaultPolicy); err != nil {
			return err
		}
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		return retention.Seed(ctx, tx, today, false)
	})
	return id, err
}

// findMunicipality gives the id of a municipality by its number today.
func findMunicipality(ctx context.Context, db *pg.DB, number string) (id int, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		all, err := municipality.List(ctx, tx)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Number == number {
				id = m.ID
				return nil
			}
		}
		return problem.NotFound{What: "municipality"}
	})
	return id, err
}
