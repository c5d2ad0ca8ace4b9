package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/demo"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/mail"
	"github.com/frist-app/frist/internal/oidc"
	"github.com/frist-app/frist/internal/oidc/demoprovider"
	"github.com/frist-app/frist/internal/pg"
)

// back is where providers send people back, below FRIST_URL.
const back = "/login/retur"

// door puts together what signing in needs beside the database, and says what is wrong with the settings before anything
// listens. close ends what runs for it.
func door(key []byte, address string, codes bool, log *slog.Logger) (house *account.House, closeDoor func(), err error) {
	house, closeDoor = &account.House{Key: key, Codes: codes}, func() {}
	if address != "" {
		if err := account.CheckURL(address); err != nil {
			return nil, nil, fmt.Errorf("FRIST_URL: %w", err)
		}
		house.URL = strings.TrimSuffix(address, "/")
	}
	if house.Providers, err = oidc.Environment(os.Environ(), house.URL, back); err != nil {
		return nil, nil, err
	}
	smtp, err := secret("FRIST_SMTP_URL")
	if err != nil || smtp == "" {
		return house, closeDoor, err
	}
	if house.URL == "" {
		return nil, nil, errors.New("FRIST_SMTP_URL is set and FRIST_URL is not: mails hold links to this site")
	}
	post, err := mail.Open(smtp, os.Getenv("FRIST_MAIL_FROM"), log)
	if err != nil {
		return nil, nil, fmt.Errorf("FRIST_SMTP_URL or FRIST_MAIL_FROM: %w", err)
	}
	house.Mail = edge.Letters{Post: post}
	return house, func() {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		post.Close(ctx)
	}, nil
}

// providerFolder is where the demo's provider lies, seen from the folder that Frist is built in.
const providerFolder = "web/oidc"

// introduceAtProvider starts the demo's provider and ties every persona to an invented person there. Without Node the demo
// goes on without it, and says so once.
func (r *demoRun) introduceAtProvider(ctx context.Context, db *pg.DB, house *account.House) (stop func(), err error) {
	people := demo.People()
	running, err := demoprovider.Start(ctx, providerFolder, r.home.file("provider-key.pem"), house.URL+back, "ID-porten (demo)", people, time.Now)
	if err != nil {
		if errors.Is(err, demoprovider.ErrMissing) {
			fmt.Fprintln(r.out, "Signing in with ID-porten is left out of this demo: it needs Node and deploy/deps.sh provider.")
			return func() {}, nil
		}
		return nil, err
	}
	house.Providers = append(house.Providers, running.Provider)
	for i, p := range demo.Personas() {
		if err := house.LinkFirst(ctx, db, running.Provider, people[i].PID, p.Login); err != nil {
			return nil, errors.Join(err, running.Stop())
		}
	}
	return func() { _ = running.Stop() }, nil
}
