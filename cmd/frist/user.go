package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
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
	Language        string        `default:"nb" enum:"nb,en" help:"nb or en."`
	Home            string        `env:"FRIST_HOME" help:"Home of a demo (${env})."`
}

// Run makes the account. The password comes from FRIST_PASSWORD, FRIST_PASSWORD_FILE or the first line of the input.
func (u *userCommand) Run(ctx context.Context, c console) error {
	password, err := secret("FRIST_PASSWORD")
	if err != nil {
		return err
	}
	if password == "" {
		fmt.Fprintf(c.err, "Password (%d characters or more), then Enter: ", account.ShortestPassword)
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if password = strings.TrimRight(line, "\r\n"); password == "" {
			return errors.Join(errors.New("there is no password"), err)
		}
	}
	db, err := openWeb(ctx, u.Home)
	if err != nil {
		return err
	}
	defer db.Close()
	in := 0
	if u.Municipality != "" {
		if in, err = u.find(ctx, db); err != nil {
			return err
		}
	}
	_, staffNumber, err := account.CreateFirst(ctx, db, account.New{
		Municipality: in, Login: u.Login, Name: u.Name, Password: password, Roles: u.Role, Language: u.Language,
	})
	if err != nil {
		return inWords(err)
	}
	fmt.Fprintf(c.out, "%s can sign in. The staff number is %s.\n", u.Login, staffNumber)
	return nil
}

func (u *userCommand) find(ctx context.Context, db *pg.DB) (int, error) {
	id, err := findMunicipality(ctx, db, u.Municipality)
	if !errors.As(err, new(problem.NotFound)) {
		return id, err
	}
	known, ok := register.MunicipalityByNumber(u.Municipality)
	if !ok {
		return 0, fmt.Errorf("no municipality in Norway has the number %q", u.Municipality)
	}
	if !u.NewMunicipality {
		return 0, fmt.Errorf("%s is not in this installation; add --new-municipality to make it", known.Name)
	}
	err = db.InTx(ctx, access.Caller{Roles: []access.Role{access.PlatformAdministrator}}, func(tx *pg.Tx) error {
		if id, err = municipality.Create(ctx, tx, known.Number, known.Name, municipality.DefaultPolicy); err != nil {
			return err
		}
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		return retention.Seed(ctx, tx, today, false) // nobody has answered the archive question (D6)
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

// inWords says what is wrong with which field; sentences belong to the pages, and a terminal has codes enough.
func inWords(err error) error {
	var invalid problem.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	var lines []string
	for _, f := range invalid.Fields {
		line := f.Name + ": " + strings.ReplaceAll(f.Code, "_", " ")
		for _, name := range []string{"min", "max", "most", "low", "high", "field", "column", "row"} {
			if v, ok := f.Params[name]; ok {
				line += fmt.Sprintf(" (%s %v)", name, v)
			}
		}
		lines = append(lines, line)
	}
	return errors.New(strings.Join(lines, "; "))
}
